//! The founding scenario: the real clock says that a day has passed, a service turns it into a task of its own and does it.

use crate::harness::{Clock, LIMIT, id_of};
use khronos::clock;
use ponos::{
    event::{Event, Timestamp},
    prelude::*,
    schemars::{self, JsonSchema},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use testkit::{Node, block_until_or_tell, wait_until};
use tokio::sync::mpsc;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Cleanup {
    older_than_days: u32,
}

/// What a handler saw.
#[derive(Debug)]
struct Saw {
    event: Event,
    attempt: u32,
    payload: String,
}

type Seen = mpsc::UnboundedSender<Saw>;

fn saw(ctx: &Context, payload: &impl std::fmt::Debug) {
    let seen = ctx.state::<Seen>().unwrap();
    seen.send(Saw { event: ctx.event().clone(), attempt: ctx.attempt(), payload: format!("{payload:?}") })
        .unwrap();
}

fn docker(seen: Seen) -> Worker {
    Worker::new("docker")
        .state(seen)
        .on::<TimePassed>("time.one-day.passed", |event, ctx| async move {
            saw(&ctx, &event);
            ctx.task("docker.images.cleanup", &Cleanup { older_than_days: 7 })?;
            Ok(Done)
        })
        .task("docker.images.cleanup", cleanup.with(Policy::retry(5).concurrency(2)))
}

/// Fails at first, as real ones do.
async fn cleanup(task: Cleanup, ctx: Context) -> HandlerResult {
    saw(&ctx, &task);
    if ctx.attempt() == 1 {
        return Ok(Outcome::retry_after(std::time::Duration::from_secs(1)));
    }
    Ok(Done)
}

/// A clock for which a day passes in some seconds, and when.
fn ends_soon(url: &str) -> (Clock, Timestamp) {
    let soon = |lead: i64| Timestamp::from_millis((clock::now().millis() / 1000 + lead) * 1000);
    let ending = |due: Timestamp| {
        format!(
            "[[schedule]]\nname = \"one-day\"\nevery = \"1 day\"\nanchor = \"{due}\"\nunrouted = \"park\"\n"
        )
    };
    let mut lead = 4;
    let mut due = soon(lead);
    let clock = Clock::new(url, &ending(due)).started();
    for _ in 0..6 {
        let is_known = |_: u16, body: &Value| {
            let anchor = body["definition"]["anchor"].as_str();
            anchor.and_then(|anchor| anchor.parse::<Timestamp>().ok()) == Some(due)
        };
        let shown = clock.until_at("/schedules/one-day", "the day to be known", is_known);
        let since: Timestamp = shown["effective_from"].as_str().unwrap().parse().unwrap();
        if since < due {
            return (clock, due);
        }
        // The machine was too slow: this one had passed before the clock knew of it.
        lead *= 2;
        due = soon(lead);
        clock.write_schedules(&ending(due));
    }
    panic!("the clock knew of no day before that had passed:\n{}", clock.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_passes_and_the_images_are_cleaned_up() {
    let url = Node::shared().vhost("founding");
    let (seen, mut handled) = mpsc::unbounded_channel();
    let (trigger, shutdown) = shutdown();
    let (told, ended) = (seen, std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
    let ends = ended.clone();
    let worker = docker(told).observe(move |observed| ends.lock().unwrap().push(format!("{observed:?}")));
    let worker = tokio::spawn({
        let url = url.clone();
        async move { worker.run(&url, shutdown).await }
    });
    let (mut clock, due) = tokio::task::block_in_place(|| {
        let queue = "docker.time.one-day.passed";
        let listens = || Node::shared().queue("founding", queue).filter(|(_, consumers)| *consumers == 1);
        block_until_or_tell("the service to listen", LIMIT, listens, String::new);
        ends_soon(&url)
    });

    let mut next = async |what: &str| {
        let came = tokio::time::timeout(LIMIT, handled.recv()).await;
        came.unwrap_or_else(|_| panic!("{what} never came: {:?}", ended.lock().unwrap())).unwrap()
    };
    let day = next("the event").await;
    let first = next("the task").await;
    let second = next("its second attempt").await;
    assert_eq!(day.event.id.as_str(), id_of("one-day", due));
    assert!(day.payload.contains("schedule: \"one-day\""), "{}", day.payload);
    assert_eq!((day.attempt, first.attempt, second.attempt), (1, 1, 2));
    assert_eq!(second.payload, "Cleanup { older_than_days: 7 }");
    // the threads that tie effect to cause
    let cause = day.event.id.as_str();
    assert_eq!(first.event.causation_id.as_deref(), Some(cause));
    assert_eq!(first.event.correlation_id.as_deref(), Some(cause));
    assert_eq!(first.event.source, "/docker");
    assert_eq!(second.event.id, first.event.id);
    let trace = |event: &Event| event.traceparent.clone().map(|parent| parent[3..35].to_owned());
    assert!(trace(&day.event).is_some(), "the clock sends trace context");
    assert_eq!(trace(&day.event), trace(&first.event));
    assert_eq!(trace(&first.event), trace(&second.event));
    assert_ne!(day.event.traceparent, first.event.traceparent);

    wait_until("the task to be done", LIMIT, async || {
        let ended = ended.lock().unwrap();
        (ended.iter().filter(|end| end.contains("ended: Done")).count() == 2).then_some(())
    })
    .await;
    trigger.advance();
    let report = tokio::time::timeout(LIMIT, worker).await.unwrap().unwrap().unwrap();
    assert!(report.left.is_empty(), "{report:?}");
    tokio::task::block_in_place(|| clock.stop());
}
