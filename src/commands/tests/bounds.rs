//! What holds nothing up: answers that nobody takes, floods, long pages, lost connections, the end.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_takes_is_dropped_and_counted_and_holds_nothing_up() {
    let mut open = Open::start().await;
    for name in ["nobody.listens", "khronos.commands.dlq"] {
        let mut message = command("schedule.get", json!({ "name": "two" }));
        message.properties.reply_to = Some(name.into());
        open.send(message).await;
    }
    let mut silent = command("schedule.get", json!({ "name": "two" }));
    silent.properties.reply_to = None;
    open.send(silent).await;
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    open.until_settled().await;
    assert!(open.counted().contains("khronos_command_replies_dropped_total 2"), "{}", open.counted());
    assert_eq!(open.broker.queue_depth("khronos.commands.dlq").unwrap(), 0, "it is reached by no name");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_owner_is_told_to_wait_and_another_is_answered() {
    let mut open = Open::with(vec![schedule("two", 1)], CommandsConfig { rate: 5, ..config() }).await;
    for _ in 0..50 {
        open.send(command("schedule.get", json!({ "name": "two" }))).await;
    }
    let mut other = command("schedule.get", json!({ "name": "two" }));
    other.properties.user_id = Some("reports-service".into());
    other.properties.correlation_id = Some("other".into());
    open.send(other).await;
    let mut statuses = Vec::new();
    for _ in 0..51 {
        let answer = open.answer().await;
        let of_other = answer.message.properties.correlation_id.as_deref() == Some("other");
        let whole: Value = serde_json::from_slice(&answer.message.body).unwrap();
        statuses.push((of_other, whole["status"].as_u64().unwrap()));
        if whole["status"] == 429 {
            assert!(whole["retry_after"].as_u64().unwrap() >= 1, "{whole}");
            assert_eq!(whole["body"]["code"], "too-many-requests");
        }
    }
    assert!(statuses.contains(&(true, 200)));
    let limited = statuses.iter().filter(|(_, status)| *status == 429).count();
    assert!((40..=45).contains(&limited), "{limited}");
    open.until_settled().await;
    assert_eq!(open.broker.queue_depth("khronos.commands.dlq").unwrap(), 0, "a flood fills no dead letters");
}

#[tokio::test(start_paused = true)]
async fn a_page_of_large_schedules_is_as_long_as_a_message_may_be() {
    let many = (0..60).map(|number| schedule(&format!("s-{number:02}"), 50_000)).collect();
    let mut open = Open::with(many, config()).await;
    let (mut page, mut names) = (Value::Null, Vec::new());
    loop {
        let body =
            if page.is_null() { json!({ "limit": 1_000 }) } else { json!({ "limit": 1_000, "page": page }) };
        open.send(command("schedule.list", body)).await;
        let answer = open.answer().await;
        assert!(answer.message.body.len() < 1_200_000, "{}", answer.message.body.len());
        let (status, list) = read(&answer);
        assert_eq!(status, 200);
        names.extend(
            list["schedules"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()),
        );
        page = list["next"].clone();
        if page.is_null() {
            break;
        }
    }
    let expected: Vec<String> = (0..60).map(|number| format!("s-{number:02}")).collect();
    assert_eq!(names, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_with_a_connection_comes_again_and_is_answered() {
    let mut open = Open::start().await;
    open.broker.block("low on memory");
    open.warning.wait_for(Option::is_some).await.unwrap();
    open.broker.unblock();
    open.warning.wait_for(Option::is_none).await.unwrap();
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    open.broker.disconnect_all();
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    open.until_settled().await;
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_was_not_begun_stays_in_the_queue() {
    let mut open = Open::start().await;
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    open.trigger.advance();
    timeout(LIMIT, &mut open.door).await.expect("the door closes").unwrap();
    for _ in 0..3 {
        open.send(command("schedule.get", json!({ "name": "two" }))).await;
    }
    let stays = || async { (open.broker.queue_depth("khronos.commands")? == 3).then_some(()) };
    testkit::wait_until("the commands to wait", LIMIT, stays).await;
}
