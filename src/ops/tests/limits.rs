//! What all schedules together may demand of a clock holds for what is put at run time, too.

use super::changes::{json, owner, refusal, running_with};
use crate::{
    clock_loop::Parts,
    engine::{Expect, Refusal, Rules, Verdict},
    ops::{
        change::{Batch, Wanted, change},
        delete::delete,
        put::put,
    },
    schedule::{ADay, Demand},
    store::Memory,
};
use tokio::sync::watch;

#[tokio::test]
async fn what_would_bring_all_schedules_beyond_the_limits_is_refused_with_the_numbers() {
    let (created_in, created) = watch::channel(Demand::default());
    // The file's one is due ten times a second.
    let demand = Demand { schedules: 3, often: ADay::of_a_second(11) };
    let (clock, _handle, running) = running_with(&Memory::default(), |parts| {
        let rules = Rules { demand, ..parts.rules };
        Parts { rules, created: created_in, ..parts }
    })
    .await;
    let ann = owner("ann", "billing");
    let put = async |name: &str, every: &str| {
        put(&clock, &ann, (None, json(name, every)), Expect::Any, None).await.map(|put| put.verdict)
    };
    let day = 86_400;
    assert!(matches!(put("a", "1s").await, Ok(Verdict::Created { .. })));
    let beyond = put("b", "1h").await;
    let said = beyond.as_ref().unwrap_err().to_string();
    assert!(said.contains("11.00 times a second") && said.contains("limits.rate"), "{said}");
    assert_eq!(refusal(beyond), Refusal::TooOftenInAll { a_day: 11 * day + 24, most: 11 * day });
    let raised = refusal(put("a", "500ms").await);
    assert_eq!(raised, Refusal::TooOftenInAll { a_day: 12 * day, most: 11 * day });
    assert!(matches!(put("a", "2s").await, Ok(Verdict::Changed { .. })));
    assert!(matches!(put("b", "1h").await, Ok(Verdict::Created { .. })));
    let beyond = put("c", "1h").await;
    let said = beyond.as_ref().unwrap_err().to_string();
    assert!(said.contains("3 schedules") && said.contains("limits.schedules"), "{said}");
    assert_eq!(refusal(beyond), Refusal::TooManyInAll { most: 3 });
    assert_eq!(*created.borrow(), Demand { schedules: 2, often: ADay(day / 2 + 24) });
    delete(&clock, &ann, "b", Expect::Any, None).await.unwrap();
    assert_eq!(*created.borrow(), Demand { schedules: 1, often: ADay(day / 2) });
    assert!(matches!(put("c", "1h").await, Ok(Verdict::Created { .. })), "there is room again");
    running.abort();
}

#[tokio::test]
async fn of_a_batch_that_is_all_or_nothing_what_it_comes_to_is_held_to_the_limits() {
    let demand = Demand { schedules: 3, often: ADay::of_a_second(11) };
    let (clock, _handle, running) = running_with(&Memory::default(), |parts| {
        let rules = Rules { demand, ..parts.rules };
        Parts { rules, ..parts }
    })
    .await;
    let ann = owner("ann", "billing");
    let put =
        |name: &str, every: &str| Wanted::Put { name: None, json: json(name, every), expect: Expect::Any };
    let gone = |name: &str| Wanted::Delete { name: name.into(), expect: Expect::Any };
    let change = async |wanted, atomic| {
        let outcomes = change(&clock, &ann, Batch { wanted, atomic, message: None }).await.unwrap();
        outcomes.into_iter().map(|outcome| outcome.verdict).collect::<Vec<_>>()
    };
    let many = change(vec![put("a", "1h"), put("b", "1h"), put("c", "1h")], true).await;
    let (another, most) = (Refusal::Another, Refusal::TooManyInAll { most: 3 });
    assert_eq!(many, [another.clone(), another.clone(), most.clone()].map(Verdict::Refused));
    let often = change(vec![put("a", "1s"), put("b", "1d")], true).await;
    let day = 86_400;
    let beyond = Refusal::TooOftenInAll { a_day: 11 * day + 1, most: 11 * day };
    assert_eq!(often, [another.clone(), beyond].map(Verdict::Refused));
    // One by one, those that there is room for are made.
    let some = change(vec![put("a", "1h"), put("b", "1h"), put("c", "1h")], false).await;
    assert!(some[..2].iter().all(Verdict::is_change), "{some:?}");
    assert_eq!(some[2], Verdict::Refused(most.clone()));
    // Whatever comes first of what is made together.
    let instead = change(vec![put("c", "1h"), gone("b")], true).await;
    assert!(instead.iter().all(Verdict::is_change), "{instead:?}");
    let more = change(vec![gone("c"), put("d", "1h"), put("e", "1h")], true).await;
    assert_eq!(more, [another.clone(), another, most].map(Verdict::Refused));
    running.abort();
}
