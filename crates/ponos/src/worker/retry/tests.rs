use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

fn headers(entries: &[(&'static str, HeaderValue)]) -> Headers {
    entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn event() -> Event {
    let mut event =
        Event::new("7".parse().unwrap(), "/shop", "order.parcel.shipped".parse().unwrap(), b"{}".to_vec());
    event.correlation_id = Some("c".into());
    event
}

#[test]
fn a_message_without_our_headers_is_at_its_first_attempt_now() {
    assert_eq!(Attempt::read(&Headers::default(), at(0)), Ok(Attempt::first(at(0))));
}

#[test]
fn what_was_put_off_knows_its_attempt_when_it_comes_back() {
    let next = Attempt {
        number: 3,
        first_seen: at(-5_000),
        due: Some(at(20_000)),
        failure: Some("no route".into()),
        waits: Some(Waits { count: 4, since: at(-3_000) }),
        alone: true,
        unavailable: true,
    };
    let message = retry_message(event().into_message(), "shop.order", &event(), &next);
    assert_eq!(message.routing_key, "shop.order");
    assert_eq!(Attempt::read(&message.headers, at(0)), Ok(next));
}

#[test]
fn what_says_that_it_is_put_off_since_a_time_to_come_is_put_off_from_now_on() {
    let waits = Some(Waits { count: 4, since: at(1_000_000_000) });
    let attempt = Attempt { waits, ..Attempt::first(at(0)) };
    assert_eq!(attempt.put_off(at(5)), Waits { count: 5, since: at(5) });
    let earlier = Attempt { waits: Some(Waits { count: 4, since: at(0) }), ..attempt };
    assert_eq!(earlier.put_off(at(5)), Waits { count: 5, since: at(0) });
}

#[test]
fn headers_of_the_wrong_type_are_named() {
    for (name, value, words) in [
        (
            "retry-attempt",
            HeaderValue::from("2"),
            "header retry-attempt is the text '2'; expected an integer",
        ),
        ("retry-attempt", HeaderValue::Int(0), "header retry-attempt is not a number from 1 up"),
        ("retry-attempt", HeaderValue::Int(i64::MAX), "header retry-attempt is not a number from 1 up"),
        ("retry-due", HeaderValue::Int(5), "header retry-due is the integer 5; expected an RFC 3339 text"),
        ("retry-due", HeaderValue::from("soon"), "header retry-due: 'soon' is not an RFC 3339 instant"),
        ("retry-due", HeaderValue::from("2099-01-01T00:00:00Z"), "a retry waits for at most 7 days"),
    ] {
        let death = Attempt::read(&headers(&[(name, value)]), at(0)).unwrap_err();
        assert_eq!(death.kind, DeadKind::Malformed);
        assert!(death.reason.contains(words), "{}", death.reason);
    }
}

#[test]
fn the_way_back_is_the_longest_rung_that_is_not_too_long_or_the_nearer_one() {
    for (remaining, expected) in [
        (-5_000, "retry.return"),
        (499, "retry.return"),
        (500, "retry.1s"),
        (999, "retry.1s"),
        (1_000, "retry.1s"),
        (4_999, "retry.1s"),
        (5_000, "retry.5s"),
        (119_999, "retry.30s"),
        (7 * 24 * 3_600_000, "retry.6h"),
    ] {
        assert_eq!(exchange(at(remaining), at(0)), expected, "{remaining} ms");
    }
}

#[test]
fn less_than_a_second_early_is_in_time() {
    let attempt = |due| Attempt { due: Some(at(due)), ..Attempt::first(at(0)) };
    assert_eq!(attempt(999).early(at(0)), None);
    assert_eq!(attempt(1_000).early(at(0)), Some(at(1_000)));
    assert_eq!(Attempt::first(at(0)).early(at(0)), None);
}

#[test]
fn what_is_sent_again_keeps_what_it_was_and_loses_the_brokers_history() {
    let mut original = event().into_message();
    original.properties.priority = Some(3);
    original.properties.user_id = Some("somebody".into());
    original.properties.expiration = Some(100);
    original.headers.set("x-death", HeaderValue::List(Vec::new()));
    original.headers.set("x-delivery-count", 4);
    original.headers.set("CC", HeaderValue::List(vec!["other".into()]));
    original.headers.set("BCC", HeaderValue::List(vec!["other".into()]));
    original.headers.set("colour", "red");
    let sent =
        retry_message(original.clone(), "q", &event(), &Attempt { number: 2, ..Attempt::first(at(0)) });
    assert_eq!(sent.properties.message_id.as_deref(), Some("7"));
    assert_eq!(sent.properties.correlation_id.as_deref(), Some("c"));
    assert_eq!(sent.properties.priority, Some(3));
    assert_eq!(sent.properties.expiration, None, "a dead letter that expires is lost");
    assert_eq!(sent.properties.user_id, None, "we are not that user");
    assert_eq!(sent.body, b"{}");
    assert_eq!(sent.headers.text("colour"), Some("red"));
    assert!(sent.headers.iter().all(|(name, _)| !name.starts_with("x-") && !name.ends_with("CC")));
    assert_eq!(Event::from_message(&sent).unwrap().id, event().id);
}

#[test]
fn a_dead_letter_says_why_where_and_when_and_begins_anew_when_put_back() {
    let next = Attempt {
        number: 5,
        first_seen: at(-9),
        due: Some(at(0)),
        failure: Some("no".into()),
        waits: None,
        alone: true,
        unavailable: true,
    };
    let message = retry_message(event().into_message(), "q", &event(), &next);
    let death = Death::new(DeadKind::Attempts, "é".repeat(3_000));
    let dead = dead(message, "q", Some(&event()), (&death, &next, at(7)));
    let text = |name| dead.headers.text(name).unwrap_or_default().to_owned();
    assert_eq!((text("dead-kind"), text("dead-queue")), ("attempts".into(), "q".into()));
    assert_eq!((text("dead-at"), text("dead-first-seen")), (at(7).to_string(), at(-9).to_string()));
    assert_eq!(dead.headers.int("dead-attempt"), Some(5));
    assert!(text("dead-reason").len() <= 4_000 && text("dead-reason").ends_with('…'));
    assert_eq!(Attempt::read(&dead.headers, at(7)), Ok(Attempt::first(at(7))));
}

#[test]
fn a_message_without_any_id_gets_one() {
    let death = Death::new(DeadKind::Malformed, "no id");
    let sent = dead(Message::default(), "q", None, (&death, &Attempt::first(at(0)), at(0)));
    assert!(sent.properties.message_id.is_some());
}
