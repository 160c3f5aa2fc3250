//! Hooks for what goes out: all ways out pass them, and they refuse it before anything is held or sent.

use super::NAME;
use ponos::{
    Client, OutgoingHead, Priority,
    broker::Transport,
    client::ClientError,
    event::{Event, HeaderValue},
    prelude::*,
    testing::Kit,
};
use serde_json::{Value, json};

const SENT: &str = "shop.bill.sent";
const TASK: &str = "shop.bill.print";

struct Tenant(&'static str);

/// The tenant of the run, or of the program.
fn tenant(head: &mut OutgoingHead<'_>, context: Option<&Context>) -> Result<(), Failure> {
    let tenant = match context {
        Some(context) => context.get::<Tenant>().map(|tenant| tenant.0).ok_or("its run has no tenant")?,
        None => "program",
    };
    head.set_extension("tenant", tenant)?;
    if head.is_task() {
        head.set_header("locale", "de")?;
    }
    Ok(())
}

fn worker(handler: impl Handler<Value>) -> Worker {
    let last = async |_: Value, ctx: Context| {
        ctx.put(Tenant("last"));
        ctx.publish(SENT, &json!("last"))?;
        Ok(Done)
    };
    Worker::new("shop")
        .on::<Value>(NAME, handler.with(Policy::retry(1)).finally(last))
        .task(TASK, async |_: Value, _: Context| Ok(Done))
        .publishes::<Value>(SENT)
        .outgoing(tenant)
}

/// The data of each with its tenant.
fn tenants(kit: &Kit, name: &str) -> Vec<(Value, String)> {
    let of = |event: Event| {
        let tenant = event.extensions.text("cloudEvents_tenant").unwrap_or_default().to_owned();
        (serde_json::from_slice(&event.data).unwrap(), tenant)
    };
    kit.published_events(name).into_iter().map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn all_that_a_worker_sends_passes_its_hooks() {
    let handler = async |_: Value, ctx: Context| {
        ctx.put(Tenant("north"));
        ctx.send_now(SENT, &json!("now")).await?;
        ctx.send_task_now(TASK, &json!("now")).await?;
        if ctx.event().subject.is_some() {
            Err("no")?
        }
        ctx.publish(SENT, &json!("held"))?;
        ctx.keyed("7").task(TASK, &json!("held"))?;
        Ok(Done)
    };
    let mut kit = Kit::start(worker(handler)).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let of = |data: &str, tenant: &str| (json!(data), tenant.to_owned());
    let both = [of("now", "north"), of("held", "north")];
    assert_eq!((tenants(&kit, SENT), tenants(&kit, TASK)), (both.to_vec(), both.to_vec()));
    let locales = |name: &str| {
        kit.published_events(name)
            .iter()
            .filter(|event| event.extensions.text("locale") == Some("de"))
            .count()
    };
    assert_eq!((locales(SENT), locales(TASK)), (0, 2));
    let mut failing = kit.event(NAME, &json!({}));
    failing.subject = Some("fail".into());
    kit.publish_event(failing).await;
    kit.settled().await;
    assert_eq!(tenants(&kit, SENT)[2..], [of("now", "north"), of("last", "last")]);
}

#[tokio::test(start_paused = true)]
async fn what_a_hook_refuses_is_neither_held_nor_sent_and_the_handler_is_told() {
    let handler = async |_: Value, ctx: Context| {
        let said = [
            ctx.publish(SENT, &json!(1)).unwrap_err().to_string(),
            ctx.send_now(SENT, &json!(1)).await.unwrap_err().to_string(),
        ];
        Ok(Outcome::dead(said.join(" | ")))
    };
    let mut kit = Kit::start(worker(handler)).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let said = kit.dead()[0].reason.clone();
    assert_eq!(
        said.matches(
            "'shop.bill.sent' was not sent: a hook for what goes out refused it: its run has no tenant"
        )
        .count(),
        2,
        "{said}"
    );
    assert!(kit.published(SENT).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_publishes_itself_is_told_so_and_meets_no_hook_again() {
    let handler = async |_: Value, ctx: Context| {
        ctx.publish(SENT, &json!(1))?;
        Ok(Done)
    };
    let worker = Worker::new("shop")
        .on::<Value>(NAME, handler.with(Policy::retry(1)))
        .publishes::<Value>(SENT)
        .outgoing(|_, context| Ok(context.ok_or("no context")?.publish(SENT, &json!(2))?));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert!(kit.dead()[0].reason.contains("a hook publishes nothing itself"), "{}", kit.dead()[0].reason);
    assert!(kit.published(SENT).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_client_sends_passes_its_hooks_before_it_is_sent() {
    let kit = Kit::start(worker(async |_: Value, _: Context| Ok(Done))).await;
    let connect = || {
        Client::connect_on(Transport::memory(kit.broker().clone()), "shop")
            .publishes::<Value>(SENT)
            .sends_task::<Value>(TASK)
    };
    let client = connect().outgoing(tenant).await.unwrap();
    client.publish(SENT, &json!(1)).await.unwrap();
    client.task(TASK, &json!(2)).header("locale", "en").await.unwrap();
    kit.settled().await;
    assert_eq!(tenants(&kit, SENT), [(json!(1), "program".to_owned())]);
    let task = kit.published_events(TASK).remove(0);
    assert_eq!(task.extensions.get("locale"), Some(&HeaderValue::Text("de".into())), "the hook is the last");
    let strict = connect().outgoing(|head, _| Err(format!("{} is for nobody", head.name()))?).await.unwrap();
    let refused = strict.publish(SENT, &json!(3)).await.unwrap_err();
    assert!(
        matches!(&refused, ClientError::Unfit(why) if why.to_string().contains("is for nobody")),
        "{refused}"
    );
    assert_eq!(kit.published(SENT).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_priority_is_a_property_that_stays_through_retries_and_in_the_dead_letters() {
    let print = async |_: Value, _: Context| Err("no paper")?;
    let handler = async |_: Value, ctx: Context| {
        ctx.priority(Priority::High).task(TASK, &json!("high"))?;
        ctx.keyed("k").priority(Priority::High).publish(SENT, &json!("high"))?;
        ctx.priority(Priority::Normal).keyed("l").publish(SENT, &json!("normal"))?;
        Ok(Done)
    };
    let worker = Worker::new("shop")
        .on::<Value>(NAME, handler)
        .task::<Value>(TASK, print.with(Policy::retry(2)))
        .publishes::<Value>(SENT);
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let priorities = |kit: &Kit, name: &str| -> Vec<Option<u8>> {
        let tapped = kit.broker().peek("testing.tap").into_iter().map(|delivery| delivery.message.properties);
        tapped
            .filter(|properties| properties.kind.as_deref() == Some(name))
            .map(|properties| properties.priority)
            .collect()
    };
    assert_eq!((priorities(&kit, TASK), priorities(&kit, SENT)), (vec![Some(9)], vec![Some(9), None]));
    kit.advance(std::time::Duration::from_secs(5)).await;
    assert_eq!(
        (kit.dead()[0].kind.as_str(), kit.dead()[0].message.properties.priority),
        ("attempts", Some(9))
    );
    let client = Client::connect_on(Transport::memory(kit.broker().clone()), "shop").publishes::<Value>(SENT);
    let client = client.await.unwrap();
    client.publish(SENT, &json!(1)).priority(Priority::High).await.unwrap();
    client.publish(SENT, &json!(2)).await.unwrap();
    assert_eq!(priorities(&kit, SENT)[2..], [Some(9), None]);
}
