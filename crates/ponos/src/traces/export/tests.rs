use super::*;
use crate::{
    event::SpanContext,
    shutdown::shutdown,
    traces::{Collector, QUEUE, Span, SpanKind, Traces, otlp},
};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// A collector that gives these answers in turn, the last one for ever.
struct Played {
    address: String,
    /// The heads of the requests, and how long their bodies were.
    asked: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Played {
    async fn begin(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let (asked, next) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(AtomicUsize::new(0)));
        let (noting, answers) = (Arc::clone(&asked), Arc::new(answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&answers), Arc::clone(&next), Arc::clone(&noting)));
            }
        });
        Self { address, asked }
    }

    fn requests(&self) -> Vec<(String, usize)> {
        self.asked.lock().unwrap().clone()
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answers: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<(String, usize)>>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            (stream.read_line(&mut head).await.ok()? > 0).then_some(())?;
        }
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        asked.lock().unwrap().push((head, length));
        let at = next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        stream.write_all(&answers[at]).await.ok()?;
    }
}

fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A batch, which waits for no other spans.
const ALL: u64 = BATCH as u64;

fn span() -> Span {
    let context = SpanContext::new(1, 2, true);
    Span::begin(context, None, SpanKind::Consumer, "process shop.a", 1)
}

fn recorded(spans: usize, address: &str) -> (Traces, Export) {
    let (traces, export) = Collector::at(address).unwrap().open("shop").unwrap();
    (0..spans).for_each(|_| traces.record(span(), 2));
    (traces, export)
}

/// Sent, full, unreachable, refused, stopped.
fn counted(traces: &Traces) -> [u64; 5] {
    let counts = traces.counts();
    let SpanCounts { sent, full, unreachable, refused, stopped, .. } = &*counts;
    [sent, full, unreachable, refused, stopped].map(|counter| counter.get())
}

/// Sends what was recorded, and ends once all of it is counted.
async fn sent(spans: usize, answers: Vec<Vec<u8>>) -> ([u64; 5], Vec<(String, usize)>) {
    let played = Played::begin(answers).await;
    let (traces, export) = recorded(spans, &played.address);
    all_counted(&traces, export, spans).await;
    (counted(&traces), played.requests())
}

/// Runs it until so many spans are counted. The end has a limit of real time, which a busy machine may need.
async fn all_counted(traces: &Traces, export: Export, spans: usize) {
    let (end, ending) = shutdown();
    let running = tokio::spawn(export.run(ending));
    while counted(traces).iter().sum::<u64>() < spans as u64 {
        sleep(Duration::from_millis(1)).await;
    }
    end.advance();
    running.await.unwrap();
}

#[tokio::test]
async fn what_was_recorded_is_sent_in_batches() {
    let (counted, requests) = sent(BATCH * 2 + 1, vec![answer(200, "", b"")]).await;
    assert_eq!((counted, requests.len()), ([BATCH as u64 * 2 + 1, 0, 0, 0, 0], 3));
    let (head, length) = &requests[2];
    assert!(head.starts_with("post /v1/traces http/1.1") && *length < 1_024, "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
}

#[tokio::test]
async fn what_a_collector_rejects_or_refuses_is_counted_and_not_sent_again() {
    let mut partial = Vec::new();
    otlp::message(&mut partial, 1, |wire| otlp::number(wire, 1, 3));
    let (counted, _) = sent(BATCH, vec![answer(200, "", &partial)]).await;
    assert_eq!(counted, [ALL - 3, 0, 0, 3, 0]);
    for status in [302, 400, 401, 404, 500] {
        let (counted, requests) = sent(BATCH, vec![answer(status, "location: /x\r\n", b"no")]).await;
        assert_eq!((counted, requests.len()), ([0, 0, 0, ALL, 0], 1), "{status}");
    }
    // whatever it says beside it
    for body in [&b"<html>"[..], &[0xff; 100_000]] {
        assert_eq!(sent(BATCH, vec![answer(200, "", body)]).await.0, [ALL, 0, 0, 0, 0]);
    }
}

#[tokio::test]
async fn a_collector_that_is_busy_is_asked_again_unless_it_asks_for_too_long() {
    let busy = || answer(503, "retry-after: 0\r\n", b"");
    for (answers, expected, requests) in [
        (vec![busy(), busy(), answer(200, "", b"")], [ALL, 0, 0, 0, 0], 3),
        (vec![busy()], [0, 0, ALL, 0, 0], 3),
        (vec![answer(429, "retry-after: 31\r\n", b"")], [0, 0, ALL, 0, 0], 1),
    ] {
        let (counted, asked) = sent(BATCH, answers).await;
        assert_eq!((counted, asked.len()), (expected, requests));
    }
}

#[test]
fn a_pause_is_as_long_as_the_collector_says_or_about_a_second_and_then_two() {
    let seconds = Duration::from_secs_f64;
    for after in [0.0, 7.0, 30.0] {
        assert_eq!(pause(1, Some(seconds(after))), Some(seconds(after)));
    }
    assert_eq!(pause(1, Some(seconds(31.0))), None);
    for _ in 0..1_000 {
        let [first, second] = [1, 2].map(|attempt| pause(attempt, None).unwrap());
        assert!((seconds(0.5)..=seconds(1.5)).contains(&first), "{first:?}");
        assert!((seconds(1.0)..=seconds(3.0)).contains(&second), "{second:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_costs_its_spans_and_ends_in_time() {
    // connections are made by the system, and nobody reads
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (traces, export) = recorded(QUEUE + 5, &address);
    let (end, ending) = shutdown();
    let running = tokio::spawn(export.run(ending));
    while counted(&traces)[2] == 0 {
        sleep(Duration::from_secs(1)).await;
    }
    let begun = tokio::time::Instant::now();
    end.advance();
    running.await.unwrap();
    assert!(begun.elapsed() <= LAST + Duration::from_secs(1), "{:?}", begun.elapsed());
    let [sent, full, unreachable, refused, stopped] = counted(&traces);
    assert_eq!((sent, full, refused), (0, 5, 0));
    assert_eq!((unreachable % BATCH as u64, unreachable + stopped), (0, QUEUE as u64));
}

#[tokio::test(start_paused = true)]
async fn where_nobody_listens_spans_are_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    drop(listener);
    let (traces, export) = recorded(3, &address);
    all_counted(&traces, export, 3).await;
    assert_eq!(counted(&traces), [0, 0, 3, 0, 0]);
}

/// Takes spans over TLS, and proves that it is localhost. Gives its port, and what it was asked.
async fn encrypted(made: &testkit::Certificates) -> (u16, Arc<Mutex<Vec<(String, usize)>>>) {
    let chain =
        CertificateDer::pem_file_iter(&made.server.certificate).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&made.server.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::<Mutex<Vec<_>>>::default();
    let (noting, answers) = (Arc::clone(&asked), Arc::new(vec![answer(200, "", b"")]));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(converse(stream, Arc::clone(&answers), Arc::default(), Arc::clone(&noting)));
            }
        }
    });
    (port, asked)
}

#[tokio::test]
async fn spans_go_to_an_encrypted_collector_only_if_it_proves_to_be_itself() {
    let [folder, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [made, stranger] = [&folder, &other].map(|folder| testkit::Certificates::generate(folder.path()));
    let (port, asked) = encrypted(&made).await;
    let address = format!("https://127.0.0.1:{port}/v1/traces");
    for (ca, expected) in [(&stranger.ca, [0, 0, ALL, 0, 0]), (&made.ca, [ALL, 0, 0, 0, 0])] {
        let collector = Collector::at(&address).unwrap().ca_file(ca).unwrap();
        let (traces, export) = collector.open("shop").unwrap();
        (0..BATCH).for_each(|_| traces.record(span(), 2));
        all_counted(&traces, export, BATCH).await;
        assert_eq!(counted(&traces), expected);
    }
    assert_eq!(asked.lock().unwrap().len(), 1, "a stranger is told nothing");
}
