//! Edits on a clock whose time is right: what was called for keeps the body that it had.

use super::*;

#[test]
fn an_edit_of_the_zone_alone_changes_the_bodies_to_come_and_counts_nothing_anew() {
    let mut clock = Clock::new();
    let put = |clock: &mut Clock, zone: &str| {
        let definition = Definition {
            name: "a".into(),
            event: Some("test.often.passed".into()),
            every: Some("10s".into()),
            limit: Some(5),
            time_zone: Some(zone.into()),
            ..Definition::default()
        };
        clock.step(Input::put(1, Packed::build(&definition).unwrap()));
    };
    put(&mut clock, "Europe/Paris");
    clock.pass(20 * SECOND);
    clock.answer = |_| None;
    clock.pass(10 * SECOND);
    put(&mut clock, "Asia/Tokyo");
    clock.answer = |_| Some(Answer::Confirmed { returned: false });
    // What got no answer is sent again as it was.
    clock.crash();
    clock.pass(MINUTE);
    let zones: Vec<_> = clock
        .sent
        .iter()
        .map(|(_, due, body)| {
            let zone = ["Europe/Paris", "Asia/Tokyo"]
                .into_iter()
                .find(|zone| String::from_utf8_lossy(body).contains(zone));
            ((due - START) / (10 * SECOND), zone.unwrap())
        })
        .collect();
    let (paris, tokyo) = ("Europe/Paris", "Asia/Tokyo");
    assert_eq!(zones, [(1, paris), (2, paris), (3, paris), (3, paris), (4, tokyo), (5, tokyo)]);
    assert!(clock.bodies_agree());
}
