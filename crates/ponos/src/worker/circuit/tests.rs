//! A circuit by itself, on paused time.

use super::*;
use futures_util::FutureExt;

const API: (&str, &str) = ("api", "api is unavailable");

fn circuit(full: usize) -> Circuit {
    of(Breaker::default(), full)
}

fn of(breaker: Breaker, full: usize) -> Circuit {
    Circuit::new(Some(breaker), "shop.order".into(), full)
}

fn begin(circuit: &Circuit) -> Option<Ticket> {
    circuit.admitted().now_or_never()
}

/// Opens it; returns the ticket of one that began before.
fn opened(circuit: &Circuit) -> Ticket {
    let ticket = begin(circuit).unwrap();
    let opens: Vec<bool> = (0..5).map(|_| circuit.unavailable(ticket, API, false)).collect();
    assert_eq!(opens, [false, false, false, false, true]);
    ticket
}

fn status(circuit: &Circuit) -> Option<Paused> {
    circuit.status(&"shop.order".into())
}

#[tokio::test(start_paused = true)]
async fn five_in_a_row_open_it_also_if_nothing_ever_succeeded() {
    let circuit = circuit(10);
    opened(&circuit);
    assert_eq!(begin(&circuit), None);
    assert!(circuit.is_open());
}

#[tokio::test(start_paused = true)]
async fn one_failure_a_minute_never_opens_it() {
    let circuit = circuit(10);
    for minute in 0..600 {
        let ticket = begin(&circuit).unwrap();
        assert!(!circuit.unavailable(ticket, API, false), "in minute {minute}");
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    // also among many that succeed, and then they count by their share
    for _ in 0..600 {
        let ticket = begin(&circuit).unwrap();
        (0..3).for_each(|_| circuit.answered(ticket));
        assert!(!circuit.unavailable(ticket, API, false));
    }
    assert_eq!(status(&circuit), None);
}

#[tokio::test(start_paused = true)]
async fn half_of_twenty_open_it() {
    let circuit = circuit(10);
    let ticket = begin(&circuit).unwrap();
    let opens = (0..11).map(|_| {
        circuit.answered(ticket);
        circuit.unavailable(ticket, API, false)
    });
    // nothing is counted before the first is unavailable
    assert_eq!(opens.collect::<Vec<bool>>().iter().position(|opens| *opens), Some(10));
}

#[tokio::test(start_paused = true)]
async fn one_is_tried_then_one_two_four_and_all() {
    let circuit = circuit(10);
    opened(&circuit);
    let probe = circuit.admitted().await;
    assert_eq!(begin(&circuit), None, "one probe");
    circuit.answered(probe);
    circuit.ended(probe);
    assert_eq!(status(&circuit), None);
    for width in [1, 2, 4, 8] {
        let tickets: Vec<Ticket> = std::iter::from_fn(|| begin(&circuit)).take(20).collect();
        assert_eq!(tickets.len(), width);
        assert_eq!(circuit.may_widen(), width >= 2);
        for ticket in tickets {
            circuit.ended(ticket);
            circuit.answered(ticket);
        }
    }
    assert!((0..20).all(|_| begin(&circuit).is_some()), "all may begin");
}

#[tokio::test(start_paused = true)]
async fn probes_come_ever_more_seldom_and_what_began_before_says_nothing() {
    let circuit = circuit(10);
    let began = opened(&circuit);
    for wait in [5, 10, 20, 40, 80, 120, 120] {
        assert!(!circuit.unavailable(began, API, true), "it began before");
        circuit.answered(began);
        let paused = Instant::now();
        let probe = circuit.admitted().await;
        assert_eq!(paused.elapsed().as_secs(), wait);
        assert!(circuit.unavailable(probe, ("api", "still no"), false), "one is enough now");
        circuit.ended(probe);
    }
    let status = status(&circuit).unwrap();
    assert_eq!((status.name.as_str(), status.reason.as_str()), ("api", "still no"));
    assert_eq!(status.lasts.as_secs(), 395);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_says_nothing_is_followed_by_another_at_once() {
    let circuit = circuit(1);
    assert!(circuit.unavailable(Ticket(0), API, true));
    let skipped = circuit.admitted().await;
    circuit.ended(skipped);
    let probe = begin(&circuit).unwrap();
    circuit.answered(probe);
    circuit.ended(probe);
    assert_eq!(circuit.round.load(Ordering::Acquire) % 2, 0, "with one slot a single one is all");
}

#[tokio::test(start_paused = true)]
async fn what_began_before_a_pause_does_not_pause_the_queue_once_more_after_it() {
    let circuit = circuit(1);
    let slow = begin(&circuit).unwrap();
    assert!(circuit.unavailable(begin(&circuit).unwrap(), API, true));
    let probe = circuit.admitted().await;
    circuit.answered(probe);
    circuit.ended(probe);
    assert!(!circuit.unavailable(slow, API, true), "it speaks of what was before");
    assert_eq!(status(&circuit), None);
    assert!(circuit.unavailable(begin(&circuit).unwrap(), API, true), "this one speaks of now");
}

#[tokio::test(start_paused = true)]
async fn who_waits_learns_of_a_long_outage_once_and_not_of_a_short_one() {
    let circuit = circuit(1);
    opened(&circuit);
    let probe = circuit.admitted().await;
    assert_eq!(circuit.long_outage(), None);
    circuit.answered(probe);
    circuit.ended(probe);
    assert!(tokio::time::timeout(LONG * 3, circuit.lasts(0)).await.is_err(), "it is over");
    let began = Instant::now();
    assert!(circuit.unavailable(begin(&circuit).unwrap(), API, true));
    circuit.lasts(0).await;
    assert_eq!((began.elapsed().as_secs(), circuit.long_outage()), (LONG.as_secs(), Some(2)));
    assert!(circuit.lasts(2).now_or_never().is_none(), "that was seen");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_switched_off_never_opens() {
    let circuit = Circuit::new(None, "shop.order".into(), 1);
    assert!(!circuit.is_on());
    assert!((0..1_000).all(|_| !circuit.unavailable(Ticket(0), API, true)));
    assert_eq!((begin(&circuit), circuit.of_timeouts()), (Some(Ticket(0)), None));
}

#[tokio::test(start_paused = true)]
async fn it_opens_as_early_and_as_long_as_was_asked_for() {
    let breaker = Breaker::default().in_a_row(2).pauses(Duration::from_secs(1), Duration::from_secs(3));
    let circuit = of(breaker.timeouts(), 4);
    assert!(circuit.of_timeouts().is_some());
    assert!(!circuit.unavailable(Ticket(0), API, false) && circuit.unavailable(Ticket(0), API, false));
    for wait in [1, 2, 3, 3] {
        let paused = Instant::now();
        let probe = circuit.admitted().await;
        assert_eq!(paused.elapsed().as_secs(), wait);
        circuit.unavailable(probe, API, false);
        circuit.ended(probe);
    }
}
