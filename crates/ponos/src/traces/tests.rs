use super::*;

fn event(traceparent: Option<&str>) -> Event {
    let name = "order.parcel.shipped".parse().unwrap();
    Event {
        traceparent: traceparent.map(str::to_owned),
        ..Event::new("7".parse().unwrap(), "/shop", name, b"{}".to_vec())
    }
}

fn opened(ratio: f64, are_linked: bool) -> (Traces, mpsc::Receiver<Vec<u8>>) {
    Traces::new(Sampling::of(ratio).unwrap(), are_linked, Arc::default())
}

const SENDER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn what_is_received_goes_on_in_the_trace_of_its_sender() {
    let (traces, _spans) = opened(0.0, false);
    let place = traces.receive(&event(Some(SENDER)), "shop.a");
    let sender = SpanContext::parse(SENDER).unwrap();
    assert_eq!((place.parent, place.link), (Some(sender.span_id), None));
    assert_eq!((place.context.trace_id, place.context.is_sampled()), (sender.trace_id, true), "it decided");
    assert_ne!(place.context.span_id, sender.span_id);
    let unsampled = SENDER.replace("-01", "-00");
    assert!(!traces.receive(&event(Some(&unsampled)), "shop.a").context.is_sampled());
}

#[test]
fn what_has_no_trace_begins_one_that_is_the_same_each_time_it_comes() {
    let (traces, _spans) = opened(1.0, false);
    for from in [None, Some("of the maker")] {
        let [one, again] = [traces.receive(&event(from), "shop.a"), traces.receive(&event(from), "shop.b")];
        assert_eq!((one.context.trace_id, one.parent, one.link), (again.context.trace_id, None, None));
        assert!(one.context.span_id != again.context.span_id && one.context.is_sampled());
    }
    let other = Event { source: "/stock".into(), ..event(None) };
    let [one, other] = [event(None), other].map(|event| traces.receive(&event, "shop.a").context.trace_id);
    assert_ne!(one, other, "ids are unique with their sources alone");
    let (traces, _spans) = opened(0.0, false);
    assert!(!traces.receive(&event(None), "shop.a").context.is_sampled());
}

#[test]
fn linked_deliveries_have_a_trace_for_each_queue() {
    let (traces, _spans) = opened(1.0, true);
    let sender = SpanContext::parse(SENDER).unwrap();
    let received = |queue| traces.receive(&event(Some(SENDER)), queue);
    let [one, again, other] = [received("shop.a"), received("shop.a"), received("shop.b")];
    assert_eq!((one.link, one.parent), (Some(sender), None));
    assert_eq!(one.context.trace_id, again.context.trace_id);
    let ids = [one, other].map(|place| place.context.trace_id);
    assert!(ids[0] != ids[1] && !ids.contains(&sender.trace_id));
}

#[test]
fn of_linked_deliveries_a_share_of_those_that_their_sender_records_is_recorded() {
    for (ratio, flags, is_sampled) in [(1.0, "01", true), (1.0, "02", false), (0.0, "03", false)] {
        let (traces, _spans) = opened(ratio, true);
        let sender = SENDER.replace("-01", &format!("-{flags}"));
        let place = traces.receive(&event(Some(&sender)), "shop.a");
        assert_eq!(place.context.is_sampled(), is_sampled, "{ratio} {flags}");
    }
}

#[test]
fn baggage_is_what_fits_into_a_header_and_into_json_as_it_is() {
    for right in ["a=1", "a=1;p, b=%22", &"b".repeat(BAGGAGE)] {
        assert!(is_baggage(right), "{right}");
        assert_eq!(serde_json::to_string(right).unwrap().len(), right.len() + 2);
    }
    for wrong in ["", "a=\"1\"", "a=\\", "a=\t1", "a=\u{7f}", "a=ä", &"b".repeat(BAGGAGE + 1)] {
        assert!(!is_baggage(wrong), "{wrong}");
    }
}

#[test]
fn what_finds_no_room_is_counted_and_nobody_waits() {
    let (traces, spans) = opened(1.0, false);
    let span = || Span::begin(SpanContext::parse(SENDER).unwrap(), None, SpanKind::Client, "ack", 1);
    (0..QUEUE + 3).for_each(|_| traces.record(span(), 2));
    assert_eq!((traces.counts().full.get(), spans.len()), (3, QUEUE));
    drop(spans);
    traces.record(span(), 2);
    assert_eq!(traces.counts().stopped.get(), 1);
}
