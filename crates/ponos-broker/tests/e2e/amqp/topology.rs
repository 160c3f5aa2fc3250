//! What a publisher of the RabbitMQ adapter declared is changed under it, while it runs: an outage that is said, and that
//! ends as soon as all is as declared; never the fault of a message.

use crate::support::{
    LIMIT, config, link, next, outcomes, publish_until_confirmed, publisher, publishing, topology, up,
};
use ponos_broker::{
    Consume, Link, LinkError, LinkErrorClass, PublishOutcome, Publisher, Transport, amqp::AmqpConfig,
};
use ponos_event::topology::{Binding, Exchange, Queue, Topology};
use std::{collections::HashSet, time::Duration};
use testkit::{Node, wait_until};
use tokio::sync::watch;

/// One that looks at its topology every second or two.
fn watchful(url: &str) -> AmqpConfig {
    let mut config = config(url);
    config.compare = Duration::from_secs(1);
    config
}

/// One that doesn't within this test.
fn unwatchful(url: &str) -> AmqpConfig {
    let mut config = config(url);
    config.compare = Duration::from_secs(3_600);
    config
}

/// Deletes the exchange, if it is there at the moment.
fn delete_if_there(node: &Node, vhost: &str, exchange: &str) {
    node.eval(&format!(
        "rabbit_exchange:delete(rabbit_misc:r(<<\"{vhost}\">>, exchange, <<\"{exchange}\">>), false, <<\"test\">>)"
    ));
}

/// Waits until it is said what is missing, unless it has been declared again meanwhile.
async fn missing(links: &mut watch::Receiver<Link>, generation: u64) -> Option<LinkError> {
    let noted = |link: &Link| match link {
        Link::Down { error, .. } => error.is_some(),
        Link::Up { generation: now, .. } => *now > generation,
        _ => false,
    };
    match link(links, "it to be noted", noted).await {
        Link::Down { error, .. } => error.inspect(|error| assert_eq!(error.class, LinkErrorClass::Missing)),
        _ => None,
    }
}

/// Publishes until all are confirmed; nothing but `Lost` may come before that.
async fn all_confirmed(publisher: &mut Publisher, mut open: HashSet<u64>) {
    let mut links = publisher.link();
    while !open.is_empty() {
        up(&mut links).await;
        publisher.submit(open.iter().map(|token| publishing(*token, "a.b.c")).collect()).await.unwrap();
        for (token, outcome) in outcomes(publisher, open.len()).await {
            match outcome {
                PublishOutcome::Confirmed { .. } => assert!(open.remove(&token)),
                PublishOutcome::Lost => {}
                other => panic!("{token}: {other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_deleted_in_full_flow_is_declared_again_and_blames_no_message() {
    let node = Node::shared();
    let url = node.vhost("deleted");
    let mut config = unwatchful(&url);
    config.channels = 3;
    let mut publisher = publisher(config, topology("all", "#")).await;
    let mut links = publisher.link();
    for round in 0..5 {
        publish_until_confirmed(&mut publisher, round, "a.b.c").await;
        links.borrow_and_update();
        node.delete_exchange("deleted", "events");
        all_confirmed(&mut publisher, (1_000..1_500).collect()).await;
    }
    assert!(matches!(*links.borrow(), Link::Up { generation: 6, .. }), "{:?}", *links.borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_declared_differently_by_somebody_else_is_an_outage_with_the_remedy_until_that_is_mended() {
    let node = Node::shared();
    let url = node.vhost("differently");
    // Whoever has a direct exchange in its place.
    let other = Topology { exchanges: vec![Exchange::direct("events")], ..Topology::default() };
    for config in [unwatchful(&url), watchful(&url)] {
        let is_watchful = config.compare < LIMIT;
        let mut publisher = publisher(config.clone(), topology("all", "#")).await;
        let mut links = publisher.link();
        publish_until_confirmed(&mut publisher, 0, "a.b.c").await;
        // It is there again before anybody publishes, so that only a look finds out; once more if one came in between.
        let replaced = async || {
            let there = ponos_broker::amqp::check(&config, &other).await.ok();
            if there.is_none() {
                delete_if_there(node, "differently", "events");
            }
            there.map(drop)
        };
        if is_watchful {
            wait_until("the other exchange to be there", LIMIT, replaced).await;
        } else {
            let generation = up(&mut links).await;
            node.delete_exchange("differently", "events");
            publisher.submit(vec![publishing(1, "a.b.c")]).await.unwrap();
            assert_eq!(outcomes(&mut publisher, 1).await[&1], PublishOutcome::Lost);
            missing(&mut links, generation).await;
            up(&mut links).await;
            wait_until("the other exchange to be there", LIMIT, replaced).await;
            node.close_connections_of("differently");
        }
        let said = link(
            &mut links,
            "the other exchange to be found",
            |link| matches!(link, Link::Down { error: Some(error), .. } if error.class == LinkErrorClass::Inequivalent),
        );
        let Link::Down { error: Some(error), .. } = said.await else { unreachable!() };
        assert!(
            error.what.contains("'events'") && error.what.contains("we want topic, it has direct"),
            "{error}"
        );
        publisher.submit(vec![publishing(2, "a.b.c")]).await.unwrap();
        assert_eq!(outcomes(&mut publisher, 1).await[&2], PublishOutcome::Lost);
        node.delete_exchange("differently", "events");
        up(&mut links).await;
        publish_until_confirmed(&mut publisher, 2, "a.b.c").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_publishes_to_is_found_missing_and_declared_again() {
    let node = Node::shared();
    let url = node.vhost("compared");
    let wanted = Topology {
        exchanges: vec![Exchange::topic("events"), Exchange::fanout("copy")],
        queues: vec![Queue::classic("all")],
        bindings: vec![Binding::exchange("events", "copy", "#"), Binding::queue("copy", "all", "")],
        ..Topology::default()
    };
    let mut publisher = publisher(watchful(&url), wanted).await;
    let mut links = publisher.link();
    // What is said is seen in one of the rounds at least: it may be over before this test comes to look.
    let mut seen = 0;
    for (round, what) in ["copy", "events", "all"].into_iter().cycle().enumerate().take(30) {
        if round >= 3 && seen > 0 {
            break;
        }
        publish_until_confirmed(&mut publisher, round as u64, "a.b.c").await;
        let generation = up(&mut links).await;
        match what {
            "all" => node.delete_queue("compared", what),
            exchange => node.delete_exchange("compared", exchange),
        }
        if let Some(error) = missing(&mut links, generation).await {
            assert!(error.what.contains(&format!("'{what}'")), "{error}");
            seen += 1;
        }
        up(&mut links).await;
        publish_until_confirmed(&mut publisher, 10, "a.b.c").await;
        let arrived = async || (node.queue("compared", "all")?.0 > 0).then_some(());
        wait_until("the message to arrive", LIMIT, arrived).await;
    }
    assert!(seen > 0, "in no round it was said what is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_was_deleted_is_made_again_without_an_outage() {
    let node = Node::shared();
    let url = node.vhost("unbound");
    let wanted = Topology {
        exchanges: vec![Exchange::topic("events"), Exchange::fanout("copy")],
        queues: vec![Queue::classic("all")],
        bindings: vec![Binding::exchange("events", "copy", "a.#"), Binding::queue("copy", "all", "")],
        ..Topology::default()
    };
    let mut publisher = publisher(watchful(&url), wanted).await;
    let links = publisher.link();
    let mut is_returned = async || {
        publisher.submit(vec![publishing(1, "a.b.c")]).await.unwrap();
        outcomes(&mut publisher, 1).await[&1] == PublishOutcome::Confirmed { returned: true }
    };
    // Once more if it was made again before anything was published.
    wait_until("the binding to be away", LIMIT, async || {
        node.eval(
            "rabbit_binding:remove({binding, rabbit_misc:r(<<\"unbound\">>, exchange, <<\"events\">>), <<\"a.#\">>, \
             rabbit_misc:r(<<\"unbound\">>, exchange, <<\"copy\">>), []}, <<\"test\">>)",
        );
        is_returned().await.then_some(())
    })
    .await;
    wait_until("the binding to be there again", LIMIT, async || (!is_returned().await).then_some(())).await;
    assert!(matches!(*links.borrow(), Link::Up { generation: 1, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_queue_is_bound_again_after_its_exchange_was_deleted() {
    let node = Node::shared();
    let url = node.vhost("onlooker");
    let mut publisher = publisher(watchful(&url), topology("all", "#")).await;
    let onlooker = Topology {
        exchanges: Vec::new(),
        queues: vec![Queue::temporary()],
        bindings: vec![Binding::queue("events", "", "#")],
        ..Topology::default()
    };
    let mut consumer = Transport::amqp(watchful(&url)).consumer(onlooker, Consume::new(""));
    up(&mut consumer.link()).await;
    publish_until_confirmed(&mut publisher, 1, "a.b.c").await;
    next(&mut consumer).await;
    node.delete_exchange("onlooker", "events");
    // Nobody hears of it until it is bound again: what is published meanwhile is none of its business.
    let heard = async {
        loop {
            publish_until_confirmed(&mut publisher, 2, "a.b.c").await;
            let again = tokio::time::timeout(Duration::from_millis(200), next(&mut consumer)).await;
            if again.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, heard).await.expect("the temporary queue is bound again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passive_publisher_waits_until_somebody_else_has_declared_the_exchange() {
    let node = Node::shared();
    let url = node.vhost("passive");
    let wanted = topology("all", "#");
    for config in [unwatchful(&url), watchful(&url)] {
        ponos_broker::amqp::check(&config, &wanted).await.unwrap();
        let is_watchful = config.compare < LIMIT;
        let mut publisher = publisher(config.clone(), wanted.clone().passive()).await;
        let mut links = publisher.link();
        publish_until_confirmed(&mut publisher, 0, "a.b.c").await;
        node.delete_exchange("passive", "events");
        if !is_watchful {
            publisher.submit(vec![publishing(1, "a.b.c")]).await.unwrap();
            assert_eq!(outcomes(&mut publisher, 1).await[&1], PublishOutcome::Lost);
        }
        let said = link(
            &mut links,
            "what is said once it was looked for",
            |link| matches!(link, Link::Down { error: Some(error), .. } if error.what.contains("declares nothing itself")),
        );
        said.await;
        ponos_broker::amqp::check(&config, &wanted).await.unwrap();
        publish_until_confirmed(&mut publisher, 1, "a.b.c").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_declare_any_more_goes_on_while_nothing_is_missing() {
    let node = Node::shared();
    node.vhost("demoted");
    node.add_user("demoted", "secret");
    node.permit("demoted", "demoted", ".*", ".*", ".*");
    let mut publisher =
        publisher(watchful(&node.url_for("demoted", "secret", "demoted")), topology("all", "#")).await;
    let mut links = publisher.link();
    node.permit("demoted", "demoted", "^$", ".*", ".*");
    // RabbitMQ keeps what a connection may do for a moment; three looks later it has asked again.
    let begin = tokio::time::Instant::now();
    let mut token = 0;
    wait_until("three looks", LIMIT, async || {
        token += 1;
        publish_until_confirmed(&mut publisher, token, "a.b.c").await;
        (begin.elapsed() > Duration::from_secs(6)).then_some(())
    })
    .await;
    assert!(matches!(*links.borrow_and_update(), Link::Up { generation: 1, .. }));
    node.delete_exchange("demoted", "events");
    let refused = |link: &Link| matches!(link, Link::Down { error: Some(error), .. } if error.class == LinkErrorClass::Forbidden);
    link(&mut links, "the reason", refused).await;
    node.permit("demoted", "demoted", ".*", ".*", ".*");
    up(&mut links).await;
}
