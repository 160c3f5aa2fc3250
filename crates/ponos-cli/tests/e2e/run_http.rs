//! `ponos run --to URL`.

use super::support::{LIMIT, declare, holds, look, ponos_ends, start};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};
use testkit::{Node, Signal};

/// A server that gives one answer after the other, the last one for ever, and keeps the requests.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(answers: &'static [&'static str]) -> Self {
        Self::serve(0, answers, false)
    }

    /// At that port.
    fn at(port: u16, answers: &'static [&'static str]) -> Self {
        Self::serve(port, answers, false)
    }

    /// Keeps the connections open, and says nothing more.
    fn start_and_keep(answers: &'static [&'static str]) -> Self {
        Self::serve(0, answers, true)
    }

    fn serve(port: u16, answers: &'static [&'static str], keep: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let url = format!("http://{}/events?shop=1", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                let request = read(&stream);
                kept.lock().unwrap().push(request);
                let answer = answers[number.min(answers.len() - 1)];
                let _ = (&stream).write_all(format!("HTTP/1.1 {answer}\r\n").as_bytes());
                if keep {
                    open.push(stream);
                }
            }
        });
        Self { url, requests }
    }

    pub(crate) fn wait(&self, count: usize) -> Vec<String> {
        testkit::block_until(&format!("{count} requests"), LIMIT, || {
            let requests = self.requests.lock().unwrap();
            (requests.len() >= count).then(|| requests.clone())
        })
    }
}

fn read(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        let end = line.trim().is_empty();
        request.push_str(&line);
        if end {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    request + &String::from_utf8(body).unwrap()
}

fn with_event(vhost: &str) -> String {
    let url = Node::shared().vhost(vhost);
    declare(&url, "shop.stock.shelf.clean");
    ponos_ends(
        &url,
        &["publish", "stock.shelf.clean", r#"{"n":1}"#, "--task", "shop", "--id", "one", "--subject", "ä 1"],
        0,
    );
    url
}

/// And four more: as many as pause a queue.
fn with_five_events(vhost: &str) -> String {
    let url = with_event(vhost);
    for _ in 0..4 {
        ponos_ends(&url, &["publish", "stock.shelf.clean", r#"{"n":1}"#, "--task", "shop"], 0);
    }
    url
}

fn worker<'a>(to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "--service", "shop", "--task", "stock.shelf.clean", "--to", to], more].concat()
}

#[test]
fn an_event_is_posted_in_binary_mode_and_2xx_is_done() {
    let url = with_event("http-done");
    let server = Server::start(&["204 No Content\r\nconnection: close\r\n"]);
    ponos_ends(&url, &worker(&server.url, &["--drain"]), 0);
    holds(&url, "shop.stock.shelf.clean", 0);
    let requests = server.wait(1);
    assert_eq!(requests.len(), 1);
    let request = requests[0].to_ascii_lowercase();
    assert!(request.starts_with("post /events?shop=1 http/1.1\r\n"), "{request}");
    for header in [
        "ce-specversion: 1.0\r\n",
        "ce-id: one\r\n",
        "ce-type: stock.shelf.clean\r\n",
        "ce-source: /ponos/publish\r\n",
        "ce-subject: %c3%a4%201\r\n",
        "ce-time: ",
        "content-type: application/json\r\n",
        "ponos-attempt: 1\r\n",
    ] {
        assert!(request.contains(header), "{header}: {request}");
    }
    assert!(request.ends_with("\r\n\r\n{\"n\":1}"), "{request}");
}

#[test]
fn a_503_with_retry_after_is_tried_again_after_that_and_spends_no_attempt() {
    let url = with_event("http-later");
    const BUSY: &str = "503 Busy\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n";
    let server = Server::start(&[BUSY, "200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"]);
    let running = start(&url, &worker(&server.url, &["--attempts", "1"]));
    let requests = server.wait(2);
    assert!(requests[1].to_ascii_lowercase().contains("ponos-attempt: 1\r\n"), "{}", requests[1]);
    running.program.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    holds(&url, "shop.stock.shelf.clean.dlq", 0);
}

#[test]
fn a_date_in_retry_after_puts_it_off_by_hours() {
    let url = with_event("http-date");
    let server = Server::start(&[
        "429 Slowly\r\nretry-after: Thu, 31 Dec 2099 23:59:59 GMT\r\ncontent-length: 0\r\nconnection: close\r\n",
    ]);
    ponos_ends(&url, &worker(&server.url, &["--drain"]), 1);
    // seven days at most, of which the first six hours are spent here
    holds(&url, "retry.6h", 1);
}

#[test]
fn who_is_always_busy_is_asked_for_max_wait_and_no_longer() {
    let url = with_event("http-busy");
    const BUSY: &str = "503 Busy\r\nretry-after: 3600\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlater";
    let server = Server::start(&[BUSY]);
    let running = start(&url, &worker(&server.url, &["--attempts", "1", "--max-wait", "3s"]));
    holds(&url, "shop.stock.shelf.clean.dlq", 1);
    running.program.signal(Signal::TERM);
    assert_eq!(running.end().code, Some(0));
    let message = look(&url, "shop.stock.shelf.clean.dlq", 1).remove(0);
    assert_eq!(message.headers.text("dead-kind"), Some("snoozed-too-long"));
    let reason = message.headers.text("dead-reason").unwrap();
    assert!(reason.contains("503") && reason.ends_with("later"), "{reason}");
    assert!(server.wait(2).len() <= 4, "an hour ended after 3 s");
}

#[test]
fn a_410_goes_to_the_dead_letters_with_what_was_said() {
    let url = with_event("http-gone");
    let server = Server::start(&["410 Gone\r\ncontent-length: 9\r\nconnection: close\r\n\r\nno longer"]);
    ponos_ends(&url, &worker(&server.url, &["--drain"]), 1);
    holds(&url, "shop.stock.shelf.clean.dlq", 1);
    let message = look(&url, "shop.stock.shelf.clean.dlq", 1).remove(0);
    let reason = message.headers.text("dead-reason").unwrap();
    assert!(reason.contains("410") && reason.contains("no longer"), "{reason}");
    assert_eq!(server.wait(1).len(), 1);
}

#[test]
fn while_nobody_is_there_the_queue_is_paused_and_nothing_is_spent() {
    let url = with_five_events("http-nobody");
    // free, and nobody else's for a while
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let to = format!("http://127.0.0.1:{port}/");
    let folder = tempfile::tempdir().unwrap();
    let health = folder.path().join("alive");
    let running = start(&url, &worker(&to, &["--attempts", "1", "--health-file", health.to_str().unwrap()]));
    running.says("the queue is paused");
    testkit::block_until("the health file to say so", LIMIT, || {
        let text = std::fs::read_to_string(&health).ok()?;
        text.contains(&format!("127.0.0.1:{port} is unavailable")).then_some(())
    });
    let server = Server::at(port, &["200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"]);
    for request in server.wait(5) {
        assert!(request.to_ascii_lowercase().contains("ponos-attempt: 1\r\n"), "{request}");
    }
    running.says("is available again");
    running.program.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(ended.err.matches("the queue is paused").count(), 1, "said once: {}", ended.err);
    holds(&url, "shop.stock.shelf.clean", 0);
    holds(&url, "shop.stock.shelf.clean.dlq", 0);
}

#[test]
fn a_drain_does_not_wait_for_ever_for_a_service_that_is_not_there() {
    let url = with_five_events("http-drain-nobody");
    let ended = ponos_ends(&url, &worker("http://127.0.0.1:1/", &["--drain", "--attempts", "1"]), 1);
    assert!(ended.err.contains("127.0.0.1:1 is unavailable"), "{}", ended.err);
    assert!(ended.err.contains("the drain does not wait for this queue"), "{}", ended.err);
    // each was tried several times, and is one
    assert!(ended.err.contains("5 given back"), "{}", ended.err);
    // some may have been about to come back
    holds(&url, "shop.stock.shelf.clean", 5);
    holds(&url, "shop.stock.shelf.clean.dlq", 0);
}

#[test]
fn a_redirect_is_not_followed() {
    let url = with_event("http-redirect");
    let server = Server::start(&[
        "302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n",
    ]);
    ponos_ends(&url, &worker(&server.url, &["--drain", "--attempts", "1"]), 1);
    holds(&url, "shop.stock.shelf.clean.dlq", 1);
    assert_eq!(server.wait(1).len(), 1);
}

#[test]
fn a_2xx_whose_body_never_comes_is_done() {
    let url = with_event("http-stalls");
    let server = Server::start_and_keep(&["200 OK\r\ncontent-length: 5\r\n"]);
    ponos_ends(&url, &worker(&server.url, &["--drain", "--timeout", "4s", "--attempts", "1"]), 0);
    holds(&url, "shop.stock.shelf.clean", 0);
    holds(&url, "shop.stock.shelf.clean.dlq", 0);
    assert_eq!(server.wait(1).len(), 1);
}

#[test]
fn the_start_of_a_long_answer_becomes_the_reason() {
    let url = with_event("http-long");
    let answer: &'static str = format!(
        "422 Wrong\r\ncontent-length: 200000\r\nconnection: close\r\n\r\nno such order{}",
        " ".repeat(199_987)
    )
    .leak();
    let server = Server::start(Box::leak(Box::new([answer])));
    ponos_ends(&url, &worker(&server.url, &["--drain"]), 1);
    holds(&url, "shop.stock.shelf.clean.dlq", 1);
    let message = look(&url, "shop.stock.shelf.clean.dlq", 1).remove(0);
    assert!(message.headers.text("dead-reason").unwrap().contains("no such order"), "{message:?}");
}
