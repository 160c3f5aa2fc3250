//! What a worker declares that it handles.

use crate::{
    event::reports::{Declaration, DeclaredHandler, DeclaredState, Instance},
    worker::{asyncapi::takes_tasks, plan::Plan},
};
use std::time::Duration;

/// How often a worker that runs declares at least, and at most.
const OFTEN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// How long until a worker of these handlers declares again: what is not handled in time is certain only once its worker was heard
/// after that time, so that short times want frequent words.
fn repeats(withins: impl Iterator<Item = Duration>) -> Duration {
    let (most_often, least_often) = OFTEN;
    withins.fold(least_often, Duration::min).max(most_often)
}

/// The declaration of a plan, before it is sent for the first time.
pub(super) fn of(plan: &Plan) -> Declaration {
    let declared = &plan.service.declared;
    let routes = || plan.queues.iter().flat_map(|queue| queue.routes.iter().map(move |route| (queue, route)));
    let handlers = routes().map(|(queue, route)| DeclaredHandler {
        queue: queue.name.to_string(),
        handler: route.pattern.to_string(),
        tasks: takes_tasks(&plan.topology, &queue.name),
        within_ms: route.policy.within.map(millis),
    });
    let handlers = handlers.collect();
    let repeats = repeats(routes().filter_map(|(_, route)| route.policy.within));
    Declaration {
        by: Instance {
            service: declared.service.to_string(),
            instance: format!("{:032x}", fastrand::u128(..)),
            sequence: 0,
            dropped: 0,
            waiting: 0,
        },
        state: DeclaredState::Running,
        since: plan.service.clock.now(),
        repeats_ms: millis(repeats),
        handlers,
        publishes: declared.events.names().map(ToString::to_string).collect(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_declares_as_often_as_its_shortest_time_within_bounds() {
        let secs = Duration::from_secs;
        let of = |withins: &[u64]| repeats(withins.iter().map(|within| secs(*within)));
        assert_eq!([of(&[]), of(&[3_600]), of(&[3_600, 60]), of(&[1])], [600, 600, 60, 10].map(secs));
    }
}
