use super::{fates::REMEMBERED, *};
use crate::{
    config::Config,
    described::{Described, DescribedQueue, Takes},
};
use ponos::{
    Client,
    broker::{Transport, memory::Broker},
    clock::Clock,
    shutdown::{Trigger, shutdown},
    worker::{Ended, Liveness, Outcome, Policy},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const TASK: &str = "stock.shelf.clean";
const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(25);

/// A worker on the twin, and a client of its service.
struct Running {
    deliveries: Deliveries,
    client: Client,
    trigger: Trigger,
    liveness: Liveness,
}

async fn start(policy: Policy) -> Running {
    start_for(policy, LONGEST).await
}

async fn start_for(policy: Policy, longest: Duration) -> Running {
    let handlers = vec![(TASK.to_owned(), None)];
    let queue =
        DescribedQueue { takes: Takes::Tasks, label: TASK.into(), handlers, policy: policy.timeout(TIMEOUT) };
    let described = Described { service: "shop".into(), queues: vec![queue], ..Described::default() };
    let config = Config { described, ..Config::default() };
    let deliveries = Deliveries::new(longest);
    // its time goes by as that of its broker, which is tokio's
    let clock = Clock::starting_at(Clock::system().now());
    let ready = super::super::worker(&config, &deliveries).clock(clock).ready().unwrap();
    let broker = Broker::new();
    broker.declare(ready.topology()).unwrap();
    let (trigger, asked) = shutdown();
    let liveness = ready.liveness();
    tokio::spawn(Box::pin(ready.run_on(Transport::memory(broker.clone()), asked)));
    let client =
        Client::connect_on(Transport::memory(broker), "shop").sends_task::<Value>(TASK).await.unwrap();
    Running { deliveries, client, trigger, liveness }
}

impl Running {
    async fn with_task() -> Self {
        let running = start(Policy::retry(2)).await;
        running.client.task(TASK, &json!({"n": 1})).await.unwrap();
        running
    }

    async fn next(&self) -> (Token, Received, Instant) {
        self.deliveries.receive(None, TIMEOUT * 100).await.unwrap().unwrap()
    }

    fn decide(&self, token: &str, digest: u64) -> Result<Settling<'_>, NotTaken> {
        self.deliveries.decide(token, digest)
    }

    async fn settle(&self, token: &str, digest: u64, outcome: HandlerResult) -> Fate {
        let Settling::Open(deciding) = self.decide(token, digest).unwrap() else { panic!("it is not open") };
        let mut fate = deciding.decided(outcome);
        fate.wait_for(Option::is_some).await.unwrap().clone().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_settled_once_and_the_same_outcome_again_gets_the_same_answer_for_ten_minutes() {
    let running = Running::with_task().await;
    let (token, delivery, _) = running.next().await;
    assert_eq!((&*delivery.queue, delivery.context.attempt()), ("shop.stock.shelf.clean", 1));
    assert!(matches!(running.decide("another", 1), Err(NotTaken::Unknown)));
    let fate = running.settle(&token, 1, Ok(Outcome::Done)).await;
    assert_eq!((fate.ended, fate.was_late), (Ended::Done, false));
    assert!(matches!(running.decide(&token, 1), Ok(Settling::Ended(Fate { ended: Ended::Done, .. }))));
    assert!(matches!(running.decide(&token, 2), Err(NotTaken::Other)));
    sleep(REMEMBERED).await;
    running.client.task(TASK, &json!({"n": 2})).await.unwrap();
    let (next, ..) = running.next().await;
    running.settle(&next, 1, Ok(Outcome::Done)).await;
    assert!(matches!(running.decide(&token, 1), Err(NotTaken::Unknown)));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_settle_in_time_is_late_and_the_attempt_has_failed() {
    let running = Running::with_task().await;
    let (token, _, deadline) = running.next().await;
    assert_eq!(deadline - Instant::now(), TIMEOUT);
    sleep(TIMEOUT - SECOND).await;
    assert!(running.deliveries.extend(&token, SECOND).is_ok());
    sleep(SECOND * 2).await;
    let late = running.decide(&token, 1).err().unwrap();
    let NotTaken::Gone(Fate { ended: Ended::Retried { attempt: 2, reason, .. }, was_late: true, .. }) = late
    else {
        panic!("{late:?}")
    };
    assert!(reason.contains("timed out: no program settled it within 10 s"), "{reason}");
    assert_eq!(running.deliveries.metrics().late.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_and_what_programs_have_is_counted_while_it_is_so() {
    let running = start(Policy::retry(2)).await;
    let metrics = running.deliveries.metrics().clone();
    let counted = || (metrics.waiting.get(), metrics.held.get());
    let pulling = running.deliveries.receive(None, SECOND);
    tokio::pin!(pulling);
    assert!(timeout(SECOND / 2, pulling.as_mut()).await.is_err());
    assert_eq!(metrics.pulling(), 1);
    assert!(pulling.await.unwrap().is_none());
    assert_eq!(metrics.pulling(), 0);
    running.client.task(TASK, &json!({"n": 1})).await.unwrap();
    sleep(SECOND).await;
    assert_eq!(counted(), (1, 0));
    let (token, ..) = running.next().await;
    assert_eq!((counted(), metrics.pulling()), ((0, 1), 0));
    running.settle(&token, 1, Ok(Outcome::Done)).await;
    assert_eq!((counted(), metrics.late.get()), ((0, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn more_time_is_given_up_to_the_longest_and_never_taken_away() {
    let running = Running::with_task().await;
    let (token, _, deadline) = running.next().await;
    let begun = deadline - TIMEOUT;
    assert_eq!(running.deliveries.extend(&token, SECOND).unwrap(), deadline, "not shorter");
    sleep(SECOND * 5).await;
    assert_eq!(running.deliveries.extend(&token, TIMEOUT).unwrap(), deadline + SECOND * 5);
    sleep(SECOND * 9).await;
    assert_eq!(running.deliveries.extend(&token, TIMEOUT * 9).unwrap(), begun + LONGEST);
    sleep(SECOND * 10).await;
    assert_eq!(running.settle(&token, 1, Ok(Outcome::Done)).await.ended, Ended::Done);
    assert!(matches!(running.deliveries.extend(&token, SECOND), Err(NotTaken::Other)));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_is_refused_leaves_the_delivery_open_until_its_deadline() {
    let running = Running::with_task().await;
    let (token, ..) = running.next().await;
    drop(running.decide(&token, 1).unwrap());
    let Ok(Settling::Open(deciding)) = running.decide(&token, 2) else { panic!("it is not open") };
    assert!(matches!(running.decide(&token, 2), Ok(Settling::Wait(_))));
    assert!(matches!(running.decide(&token, 3), Err(NotTaken::Other)));
    // its deadline passes while the outcome is looked at
    sleep(TIMEOUT * 2).await;
    drop(deciding);
    sleep(SECOND).await;
    assert!(matches!(running.decide(&token, 2), Err(NotTaken::Gone(Fate { was_late: true, .. }))));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_receives_spends_no_attempt_and_waits_for_who_comes() {
    let running = Running::with_task().await;
    sleep(WAITING * 10).await;
    let (token, delivery, _) = running.next().await;
    assert_eq!(delivery.context.attempt(), 1);
    assert_eq!(running.settle(&token, 1, Ok(Outcome::Done)).await.ended, Ended::Done);
}

impl Running {
    async fn send(&self, numbers: std::ops::Range<usize>) {
        for n in numbers {
            self.client.task(TASK, &json!({ "n": n })).await.unwrap();
        }
    }

    /// One program, which takes so long for each of so many; in which order they came.
    async fn handle(&self, count: usize, each: Duration) -> Vec<u64> {
        let mut order = Vec::new();
        for _ in 0..count {
            let (token, delivery, _) = self.next().await;
            assert_eq!(delivery.context.attempt(), 1);
            assert!(self.liveness.paused().is_empty(), "{:?}", self.liveness.paused());
            let data: Value = serde_json::from_slice(&delivery.context.event().data).unwrap();
            order.push(data["n"].as_u64().unwrap());
            sleep(each).await;
            assert_eq!(self.settle(&token, 1, Ok(Outcome::Done)).await.ended, Ended::Done);
        }
        order
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_wait_for_a_program_that_is_busy_with_others_and_their_queue_goes_on() {
    let running = start_for(Policy::default().concurrency(10), SECOND * 300).await;
    running.send(0..12).await;
    // the tenth waits for 81 s
    assert_eq!(running.handle(12, SECOND * 9).await, (0..12).collect::<Vec<_>>());
    // whoever asks for this queue alone is there for it, too
    running.send(0..9).await;
    let receiving = running.deliveries.receive(Some("shop.stock.shelf.clean"), SECOND).await;
    let (token, ..) = receiving.unwrap().unwrap();
    sleep(TIMEOUT - SECOND).await;
    running.deliveries.extend(&token, SECOND * 100).unwrap();
    sleep(SECOND * 80).await;
    assert!(running.liveness.paused().is_empty());
    running.settle(&token, 1, Ok(Outcome::Done)).await;
    running.handle(8, Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_long_enough_while_programs_were_busy_goes_back_and_its_queue_goes_on() {
    // they may wait for a minute
    let running = start(Policy::default().concurrency(10)).await;
    running.send(0..12).await;
    let mut order = running.handle(12, SECOND * 9).await;
    order.sort_unstable();
    assert_eq!(order, (0..12).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_paused_a_minute_after_its_last_program_was_there() {
    let running = start_for(Policy::default().concurrency(2), SECOND * 300).await;
    running.send(0..3).await;
    running.handle(1, SECOND * 9).await;
    sleep(SECOND * 50).await;
    // who asks for another queue is not there for this one
    assert!(running.deliveries.receive(Some("shop.other"), SECOND * 9).await.unwrap().is_none());
    assert!(running.liveness.paused().is_empty(), "{:?}", running.liveness.paused());
    sleep(SECOND * 2).await;
    assert_eq!(running.liveness.paused().len(), 1);
    for _ in 0..2 {
        let (token, ..) = running.next().await;
        running.settle(&token, 1, Ok(Outcome::Done)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_delivery_goes_to_one_of_those_who_wait() {
    let running = start(Policy::default().concurrency(3)).await;
    let receiving: Vec<_> = (0..3)
        .map(|_| {
            let deliveries = running.deliveries.clone();
            tokio::spawn(async move { deliveries.receive(None, TIMEOUT).await.unwrap().unwrap().0 })
        })
        .collect();
    for n in 0..3 {
        running.client.task(TASK, &json!({ "n": n })).await.unwrap();
    }
    let mut tokens = Vec::new();
    for one in receiving {
        tokens.push(one.await.unwrap());
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
    assert!(running.deliveries.receive(Some("shop.other"), Duration::ZERO).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_out_once_it_drains_and_what_is_held_can_be_settled() {
    let running = Running::with_task().await;
    let (token, ..) = running.next().await;
    running.deliveries.drain();
    running.trigger.advance();
    assert_eq!(running.deliveries.receive(None, TIMEOUT).await.err(), Some(Draining));
    assert!(timeout(SECOND / 2, running.deliveries.none_held()).await.is_err());
    assert_eq!(running.settle(&token, 1, Ok(Outcome::Done)).await.ended, Ended::Done);
    running.deliveries.none_held().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_when_the_worker_stops_is_no_longer_the_program_s() {
    let running = Running::with_task().await;
    let (token, ..) = running.next().await;
    running.trigger.advance();
    running.trigger.advance();
    running.deliveries.none_held().await;
    let gone = running.decide(&token, 1).err().unwrap();
    assert!(
        matches!(&gone, NotTaken::Gone(Fate { was_late: false, ended: Ended::Released(_), .. })),
        "{gone:?}"
    );
}
