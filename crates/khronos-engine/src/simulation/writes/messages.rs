//! What comes as a message, and comes again.

use super::{commands::put_of, *};
use crate::{Author, ChangeRequest, Message, Verdict, messages};

/// Sends a message that puts `a`; what is answered, unless it is not taken. The disk is quick.
fn send(seen: &mut Seen, owner: &str, id: &str, often: &str) -> Option<Verdict> {
    let message = Message { id: id.into(), digest: [id.len() as u8; 32] };
    let (by, changes) = (Author::admin(owner, "a test"), vec![put_of(every("a", often))]);
    let request = ChangeRequest { command: 1, by, message: Some(message), atomic: false, changes };
    seen.too_many.clear();
    seen.decided.clear();
    seen.step(Input::Change(Box::new(request)));
    let verdict = seen.decided.pop().and_then(|(_, mut verdicts)| verdicts.pop());
    assert_eq!(seen.too_many.len(), usize::from(verdict.is_none()));
    verdict
}

#[test]
fn a_flood_of_one_owner_lets_no_redelivery_of_another_undo_what_is_newer() {
    const DAY: i64 = messages::KEPT;
    let mut seen = Seen::of(100);
    let first = send(&mut seen, "billing", "m1", "1m").unwrap();
    send(&mut seen, "billing", "m-2", "2m").unwrap();
    let mut taken = 0;
    while taken < messages::MOST && send(&mut seen, "ops", &format!("{taken}"), "2m").is_some() {
        taken += 1;
    }
    // Each is an answer and a verdict: as much as he leaves to all others.
    assert_eq!(taken, messages::MOST / 4 - 1);
    let again = |seen: &mut Seen| {
        assert_eq!(send(seen, "billing", "m1", "1m").as_ref(), Some(&first));
        seen.engine.running("a").unwrap().revision.definition.definition().every
    };
    assert_eq!(again(&mut seen).as_deref(), Some("2m"));
    assert!(send(&mut seen, "billing", "m--3", "2m").is_some(), "others have room");
    // What was answered is known to whoever has no room, too; and a request that is no message is taken.
    assert!(send(&mut seen, "ops", "1", "2m").is_some());
    seen.step(Input::put(7, Packed::build(&every("a", "3m")).unwrap()));
    seen.pass(DAY - MINUTE, DAY);
    assert!(send(&mut seen, "ops", "later", "4m").is_none());
    assert_eq!(again(&mut seen).as_deref(), Some("3m"));
    seen.pass(2 * MINUTE, DAY);
    assert!(send(&mut seen, "ops", "later", "4m").is_some(), "those of a day ago are forgotten");
}
