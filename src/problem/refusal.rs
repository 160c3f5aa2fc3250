//! Which status and code a change has that the clock refused: each refusal has a code of its own.

use super::ProblemCode;
use crate::engine::Refusal;
use axum::http::StatusCode;

/// The status and the code of a change that was refused.
pub(super) fn status_and_code(refusal: &Refusal) -> (StatusCode, ProblemCode) {
    let status = match refusal {
        Refusal::TooMany { .. }
        | Refusal::TooManyCalendars { .. }
        | Refusal::TooManyCalendarBytes { .. }
        | Refusal::TooManyInAll { .. }
        | Refusal::TooOftenInAll { .. }
        | Refusal::TooManyDelayedEvents { .. }
        | Refusal::NotOwner { .. }
        | Refusal::OutsideDomains { .. }
        | Refusal::ReservedEvent { .. } => StatusCode::FORBIDDEN,
        Refusal::Exists { .. } | Refusal::Stale { .. } | Refusal::NotAsCounted { .. } => {
            StatusCode::PRECONDITION_FAILED
        }
        Refusal::NoSuchSchedule { .. } => StatusCode::NOT_FOUND,
        Refusal::FileOwned
        | Refusal::MayHaveBeenSent { .. }
        | Refusal::AlreadySettled { .. }
        | Refusal::InUse { .. }
        | Refusal::LeavesNothingDue { .. }
        | Refusal::Another => StatusCode::CONFLICT,
        Refusal::NeverDue
        | Refusal::Invalid { .. }
        | Refusal::NoSuchCalendar { .. }
        | Refusal::Twice
        | Refusal::MessageIdUsed => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let code = match refusal {
        Refusal::NotOwner { .. } => ProblemCode::NameTaken,
        Refusal::OutsideDomains { .. } => ProblemCode::OutsideDomains,
        Refusal::ReservedEvent { .. } => ProblemCode::ReservedEvent,
        Refusal::TooMany { .. } => ProblemCode::TooManySchedules,
        Refusal::TooManyCalendars { .. } => ProblemCode::TooManyCalendars,
        Refusal::TooManyCalendarBytes { .. } => ProblemCode::TooManyCalendarBytes,
        Refusal::InUse { .. } => ProblemCode::InUse,
        Refusal::LeavesNothingDue { .. } => ProblemCode::LeavesNothingDue,
        Refusal::NoSuchCalendar { .. } => ProblemCode::NoSuchCalendar,
        Refusal::TooManyInAll { .. } => ProblemCode::TooManyInAll,
        Refusal::TooOftenInAll { .. } => ProblemCode::TooOftenInAll,
        Refusal::TooManyDelayedEvents { .. } => ProblemCode::TooManyDelayedEvents,
        Refusal::FileOwned => ProblemCode::FileOwned,
        Refusal::MayHaveBeenSent { .. } => ProblemCode::MayHaveBeenSent,
        Refusal::AlreadySettled { .. } => ProblemCode::AlreadySettled,
        Refusal::Another => ProblemCode::AnotherRefused,
        Refusal::NeverDue => ProblemCode::NeverDue,
        Refusal::Twice => ProblemCode::NameTwice,
        Refusal::MessageIdUsed => ProblemCode::MessageIdUsed,
        Refusal::Invalid { .. } => ProblemCode::Invalid,
        // What the status says.
        Refusal::Exists { .. } | Refusal::Stale { .. } | Refusal::NotAsCounted { .. } => {
            ProblemCode::PreconditionFailed
        }
        Refusal::NoSuchSchedule { .. } => ProblemCode::NotFound,
    };
    (status, code)
}

#[cfg(test)]
mod tests {
    use super::{super::Problem, *};
    use crate::ops::OpsError;
    use ponos::event::Timestamp;

    /// A program need not read English.
    #[test]
    fn each_refusal_has_a_code_of_its_own() {
        let refusals = [
            Refusal::FileOwned,
            Refusal::NotOwner { owner: "ann".into() },
            Refusal::OutsideDomains { event: "a.b.c".into() },
            Refusal::ReservedEvent { event: "time.b.c".into() },
            Refusal::MayHaveBeenSent { due: Timestamp::EPOCH },
            Refusal::AlreadySettled { due: Timestamp::EPOCH },
            Refusal::NeverDue,
            Refusal::Invalid { faults: "".into() },
            Refusal::Twice,
            Refusal::Another,
            Refusal::MessageIdUsed,
            Refusal::TooMany { most: 1 },
            Refusal::TooManyInAll { most: 1 },
            Refusal::TooOftenInAll { a_day: 2, most: 1 },
            Refusal::TooManyDelayedEvents { most: 1 },
            Refusal::NoSuchSchedule { name: "a".into() },
            Refusal::Stale { revision: None },
            Refusal::InUse { first: vec!["a".into()], count: 1 },
            Refusal::LeavesNothingDue { some: vec!["a".into()] },
            Refusal::NoSuchCalendar { name: "a".into() },
            Refusal::TooManyCalendars { most: 1 },
            Refusal::TooManyCalendarBytes { most: 1 },
        ];
        let codes: std::collections::BTreeSet<String> = refusals
            .iter()
            .map(|refusal| {
                let error = OpsError::Unchanged { name: "a".into(), refusal: refusal.clone(), place: None };
                Problem::from(error).word()
            })
            .collect();
        assert_eq!(codes.len(), refusals.len(), "{codes:?}");
    }
}
