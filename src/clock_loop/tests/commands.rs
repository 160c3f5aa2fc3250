//! Commands to the loop: what is due comes between them.

use super::*;

#[tokio::test]
async fn what_is_due_comes_between_commands_however_many_are_waiting() {
    let (publisher, mut task) = Publisher::channel(4);
    let (clock_loop, handle) = ClockLoop::new(parts(&Memory::default(), publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let askers: Vec<_> = (0..200)
        .map(|_| {
            let commands = handle.commands.clone();
            tokio::spawn(async move {
                loop {
                    let (reply, answer) = tokio::sync::oneshot::channel();
                    commands.send(Command::Schedules(None, reply)).await.unwrap();
                    answer.await.unwrap();
                }
            })
        })
        .collect();
    let some = async {
        for _ in 0..3 {
            let batch = task.submitted.recv().await.unwrap();
            let settle = |one: ponos::broker::Publishing| Settlement {
                token: one.token,
                outcome: PublishOutcome::Confirmed { returned: false },
            };
            task.settled.send(batch.into_iter().map(settle).collect()).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), some).await.expect("events go out");
    askers.iter().for_each(tokio::task::JoinHandle::abort);
    running.abort();
}
