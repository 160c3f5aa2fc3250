//! The spans of what a request publishes: one for each event, below the span of the request's sender, from its publishing to the
//! last confirm. Events go on with the context of their own span, which is the same when a client sends one again. One that is not
//! recorded goes on as it came.

use super::publisher::Outcome;
use ponos::{
    clock::Clock,
    event::Event,
    topology::worker::EVENTS,
    traces::{Span, SpanKind, Traces, names},
};

/// Spans that have begun, one for each event; none of a trace that is not sampled.
pub(super) struct Sendings<'a> {
    traces: &'a Traces,
    spans: Vec<Option<Span>>,
}

impl<'a> Sendings<'a> {
    /// These events are about to be published.
    pub(super) fn begin(traces: &'a Traces, events: &mut [Event]) -> Self {
        let now = Clock::system().unix_nanos();
        let spans = events.iter_mut().map(|event| span(traces, event, now)).collect();
        Self { traces, spans }
    }

    /// So they ended.
    pub(super) fn end(self, outcomes: &[Outcome]) {
        let now = Clock::system().unix_nanos();
        for (span, outcome) in self.spans.into_iter().zip(outcomes) {
            let Some(span) = span else { continue };
            let span = match outcome {
                Outcome::Accepted { received: true } => span,
                Outcome::Accepted { received: false } => span.truth(names::REACHED_NOBODY, true),
                Outcome::Not(problem) => span.failed(problem.code(), "it was not accepted"),
            };
            self.traces.record(span, now);
        }
    }
}

fn span(traces: &Traces, event: &mut Event, now: u64) -> Option<Span> {
    let place = traces.pass_on(event, "gateway");
    let is_sampled = place.context.is_sampled();
    if is_sampled || place.link.is_some() {
        event.traceparent = Some(place.context.to_string());
        if place.parent.is_none() {
            // it says something of another trace
            event.tracestate = None;
        }
    }
    let name = event.name.as_str();
    is_sampled.then(|| {
        place
            .begin(SpanKind::Producer, &format!("send {name}"), now)
            .text(names::SYSTEM, names::RABBITMQ)
            .text(names::OPERATION, "send")
            .text(names::OPERATION_TYPE, "send")
            .text(names::DESTINATION, &format!("{EVENTS}:{name}"))
            .text(names::ROUTING_KEY, name)
            .text(names::MESSAGE_ID, event.id.as_str())
            .text(names::EVENT_TYPE, name)
            .number(names::BODY_SIZE, i64::try_from(event.data.len()).unwrap_or(i64::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::traces::Collector;

    const SENDER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";

    fn traces(change: impl FnOnce(Collector) -> Collector) -> Traces {
        let collector = Collector::at("http://127.0.0.1:1/v1/traces").unwrap();
        change(collector).open("edge").unwrap().0
    }

    /// What goes on of its trace, whenever it is sent.
    fn passed_on(traces: &Traces, traceparent: Option<&str>) -> (Option<String>, Option<String>) {
        let mut events = [(); 2].map(|()| {
            let name = "order.item.placed".parse().unwrap();
            let mut event = Event::new("7".parse().unwrap(), "/shop", name, b"{}".to_vec());
            (event.traceparent, event.tracestate) = (traceparent.map(str::to_owned), Some("vendor=1".into()));
            event
        });
        drop(Sendings::begin(traces, &mut events));
        let [one, again] = events;
        assert_eq!((&one.traceparent, &one.tracestate), (&again.traceparent, &again.tracestate));
        (one.traceparent, one.tracestate)
    }

    #[test]
    fn an_event_that_is_sent_again_says_the_same_of_its_trace() {
        let all = traces(|collector| collector);
        let (parent, state) = passed_on(&all, Some(SENDER));
        let parent = parent.unwrap();
        assert!(parent.starts_with(&SENDER[..35]) && parent.ends_with("-03") && parent != SENDER, "{parent}");
        assert_eq!(state.as_deref(), Some("vendor=1"));
        for none in [None, Some("of the maker")] {
            let (parent, state) = passed_on(&all, none);
            assert!(parent.is_some_and(|parent| parent.ends_with("-01")) && state.is_none());
        }
    }

    #[test]
    fn what_is_not_recorded_goes_on_as_it_came() {
        let none = traces(|collector| collector.ratio(0.0).unwrap());
        let unsampled = SENDER.replace("-03", "-02");
        for came in [None, Some(unsampled.as_str()), Some("of the maker")] {
            let same = (came.map(str::to_owned), Some("vendor=1".to_owned()));
            assert_eq!(passed_on(&none, came), same);
        }
    }

    #[test]
    fn a_trace_of_its_own_has_no_state_of_the_senders() {
        for (ratio, end) in [(1.0, "-01"), (0.0, "-00")] {
            let linked = traces(|collector| collector.ratio(ratio).unwrap().linked());
            let (parent, state) = passed_on(&linked, Some(SENDER));
            let parent = parent.unwrap();
            assert!(!parent.starts_with(&SENDER[..35]) && parent.ends_with(end), "{parent}");
            assert_eq!(state, None);
        }
    }
}
