//! What becomes of what is outstanding on a channel that stands still.

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn outstanding(confirms: &mut Confirms, token: u64, deadline: Instant) {
    let routed = Routed { exchange: "events".into(), key: ShortString::default(), size: 0 };
    let message_id = format!("id-{token}");
    confirms.unconfirmed.push(Unconfirmed { token, message_id, routed, deadline, settled: false });
}

#[test]
fn all_that_is_outstanding_on_a_channel_that_stands_still_is_lost_once_and_what_waits_is_kept() {
    let (mut confirms, start) = (Confirms::new(10), Instant::now());
    outstanding(&mut confirms, 1, start + LIMIT);
    assert!(confirms.write(None, 0, &Fence::default(), start));
    outstanding(&mut confirms, 2, start + 2 * LIMIT);
    assert!(confirms.write(None, 0, &Fence::default(), start + LIMIT / 2));
    let message = ponos_event::Message::default();
    let waits = Publishing { token: 3, lane: 0, exchange: "events".into(), message };
    confirms.take(waits, start + 2 * LIMIT);

    let late = start + LIMIT;
    assert!(!confirms.stands_still(LIMIT, late - Duration::from_millis(1)));
    assert!(confirms.stands_still(LIMIT, late));
    confirms.expire(late);
    confirms.abandon();
    let lost = |token| Settlement { token, outcome: PublishOutcome::Lost };
    assert!(confirms.settlements().eq([lost(1), lost(2)]), "each once, the one that was given up, too");
    assert!(!confirms.stands_still(LIMIT, late + LIMIT), "nothing is outstanding on the next one");
    assert!(confirms.wants_a_channel() && confirms.waiting() == 1);
    // nothing landed on the one before: so this one has more time
    outstanding(&mut confirms, 4, late + LIMIT);
    assert!(confirms.write(None, 0, &Fence::default(), late));
    assert!(!confirms.stands_still(LIMIT, late + LIMIT) && confirms.stands_still(LIMIT, late + 2 * LIMIT));
    // a confirm that comes for one that was given up shows that the channel lives
    confirms.expire(late + LIMIT);
    confirms.landed(vec![(3, Ok(Confirmation::Ack(None)))]);
    assert!(confirms.write(None, 0, &Fence::default(), late + 2 * LIMIT));
    assert!(!confirms.stands_still(LIMIT, late + 2 * LIMIT));
}
