//! Clocks on a Postgres whose standby is promoted, behind one address.

use crate::harness::{Arrivals, Balancer, Clock, LIMIT, clocks, let_pass, random, text};
use ponos::topology::Queue;
use serde_json::Value;
use testkit::{Node, Postgres, block_until_or_tell};

const SCHEDULES: &str = r#"
[[schedule]]
name = "all-100"
event = "test.all-hundred.passed"
every = "100ms"
catch_up = { policy = "all", grace = "200ms" }
[[schedule]]
name = "all-1000"
event = "test.all-second.passed"
every = "1s"
catch_up = { policy = "all" }
"#;

/// Two clocks, a server and its standby.
struct Scene {
    arrivals: Arrivals,
    primary: Postgres,
    standby: Postgres,
    balancer: Balancer,
    database: String,
    clocks: [Clock; 2],
}

impl Scene {
    async fn started(vhost: &str, waits_for_the_standby: bool) -> Self {
        let url = Node::shared().vhost(vhost);
        let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("classic")]).await;
        let primary = Postgres::start(true);
        let database = primary.database("promoted");
        let standby = primary.standby("b");
        if waits_for_the_standby {
            // The standby has no such setting: it was copied before.
            primary.sql("postgres", "alter system set synchronous_standby_names = 'b'");
            primary.sql("postgres", "select pg_reload_conf()");
        }
        let wanted = if waits_for_the_standby { "sync" } else { "async" };
        let state = || primary.sql("postgres", "select sync_state from pg_stat_replication");
        block_until_or_tell("the standby to follow", LIMIT, || (state() == wanted).then_some(()), state);
        let balancer = Balancer::to(primary.port());
        let database = balancer.url(&database);
        let clocks = [0, 1]
            .map(|_| Clock::new(&url, SCHEDULES).reached().with("KHRONOS_STORE_PATH", &database).started());
        let scene = Self { arrivals, primary, standby, balancer, database, clocks };
        scene.arrivals.more(30);
        scene
    }

    fn log(&self) -> String {
        clocks::log(&self.clocks)
    }

    /// That someone leads, by a lease that was taken on this timeline; it is waited for.
    fn someone_leads_on_timeline(&self, timeline: u64) {
        let seen = || self.clocks[0].verb(&["cluster", "--json"]);
        let leads = || {
            let seen: Value = serde_json::from_slice(&seen().stdout).ok()?;
            (seen["is_led"] == true && seen["timeline"] == timeline).then_some(())
        };
        block_until_or_tell("a leader of that timeline", LIMIT, leads, || {
            format!("{}\n{}", text(&seen()), self.log())
        });
    }
}

const PROMOTED: &str = "the database was promoted since the last leader began";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synchronous_standby_is_promoted_while_a_clock_leads_and_nothing_is_lost() {
    let mut scene = Scene::started("promoted", true).await;
    let mut random = random();
    // For a moment both can be written to, and the clocks reach the old one, which waits for its standby in vain.
    scene.standby.promote();
    let_pass(random.u64(0..1_500));
    scene.balancer.moves_to(scene.standby.port());
    scene.someone_leads_on_timeline(2);
    scene.arrivals.more(30);
    scene.primary.kill9();
    scene.arrivals.more(30);
    scene.clocks[0].done_in_time(&["audit"], |_| true);
    let expected = clocks::settled(&mut scene.clocks, &scene.database);
    let (occurrences, arrived, _) = expected.compare(&scene.arrivals, 1);
    println!("{occurrences} occurrences, {arrived} arrivals");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_a_standby_was_promoted_which_may_lack_commits_is_said_before_and_after() {
    let mut scene = Scene::started("promoted-behind", false).await;
    let warned = || scene.log().contains("may lose what was committed last").then_some(());
    block_until_or_tell("the warning", LIMIT, warned, || scene.log());
    let seen = text(&scene.clocks[0].verb(&["cluster"]));
    assert!(seen.contains("may lose what was committed last"), "{seen}");
    // It lacks what is committed from now on.
    scene.standby.pause();
    scene.arrivals.more(30);
    scene.primary.kill9();
    scene.standby.unpause();
    assert!(!scene.log().contains(PROMOTED));
    scene.standby.promote();
    scene.balancer.moves_to(scene.standby.port());
    scene.someone_leads_on_timeline(2);
    let said = || scene.log().contains(PROMOTED).then_some(());
    block_until_or_tell("it to be said", LIMIT, said, || scene.log());
    scene.arrivals.more(30);
    // What was sent by what is lost is sent again, under the same ids.
    let expected = clocks::settled(&mut scene.clocks, &scene.database);
    let (occurrences, arrived, _) = expected.compare(&scene.arrivals, 1);
    println!("{occurrences} occurrences, {arrived} arrivals");
}
