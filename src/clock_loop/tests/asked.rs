//! Triggers and operations as the loop takes them: what is answered with no is not done later.

use super::*;
use crate::{
    clock,
    clock_loop::{OperationAnswer, TriggerAnswer, Unchanged},
    engine::{Coalesced, Operation},
};
use ponos::event::CommandId;
use tokio::sync::oneshot;

fn id(text: &str) -> CommandId {
    text.parse().unwrap()
}

fn operation() -> Box<Operation> {
    let due = clock::now();
    Box::new(Operation {
        schedule: "often".into(),
        revision: 1,
        creation: 0,
        by: "ann".into(),
        owner: "ann".into(),
        digest: [0; 32],
        at: due,
        rate: 1,
        queue: None,
        count: 1,
        first: due,
        last: due,
        left: vec![Coalesced { first: due, last: due, count: 1 }],
        sent: 0,
        ended: None,
    })
}

fn is_held(why: Option<Unchanged>) {
    match why {
        Some(Unchanged::Unavailable(why)) => {
            assert!(why.starts_with("nothing changed, for the wall clock jumped ahead"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn while_the_clock_is_held_nothing_is_triggered_begun_or_ended_nor_later() {
    let (publisher, _task) = Publisher::channel(4);
    let (mut clock_loop, _handle) = ClockLoop::new(leaping(publisher).await);
    let (reply, mut answer) = oneshot::channel::<TriggerAnswer>();
    clock_loop.on_command(Command::Trigger("often".into(), id("k").into(), reply));
    is_held(answer.try_recv().unwrap().err());
    let (reply, mut answer) = oneshot::channel::<OperationAnswer>();
    clock_loop.on_command(Command::Operate(id("op"), operation(), reply));
    is_held(answer.try_recv().unwrap().err());
    let (reply, mut answer) = oneshot::channel::<OperationAnswer>();
    clock_loop.on_command(Command::Cancel(id("op"), reply));
    is_held(answer.try_recv().unwrap().err());
    // What waits in the engine would wait for its turn.
    assert_eq!(clock_loop.next_command(), 1, "the engine was given none of them");
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_neither_triggered_nor_begun() {
    let (publisher, _task) = Publisher::channel(4);
    let (mut clock_loop, _handle) = ClockLoop::new(parts(&Memory::default(), publisher).await);
    let (reply, answer) = oneshot::channel();
    drop(answer);
    clock_loop.on_command(Command::Trigger("often".into(), id("k").into(), reply));
    let (reply, answer) = oneshot::channel();
    drop(answer);
    clock_loop.on_command(Command::Operate(id("op"), operation(), reply));
    assert!(clock_loop.engine.parked().is_empty() && clock_loop.engine.operations().next().is_none());
    assert_eq!(clock_loop.next_command(), 1);
    let (reply, _answer) = oneshot::channel();
    clock_loop.on_command(Command::Trigger("often".into(), id("k").into(), reply));
    assert_eq!(clock_loop.next_command(), 3);
}
