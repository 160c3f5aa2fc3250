//! Keepers on a real Postgres: who leads, who writes, who is fenced.

use super::{Keeper, KeeperParts, Role, Seen, Trust, keep};
use crate::{
    engine::{Reading, lease::LeaseTimes},
    postgres::{
        ClusterSeen, Door, MemberSeen, MemberShown, Resigning, Session, Writing,
        fixture::{PATIENCE, Tables},
        resign,
    },
    store::{StoreError, Warmth},
    telemetry::LeaseFigures,
};
use std::sync::Arc;
use testkit::{Postgres, wait_until};
use tokio::{sync::watch, task::spawn_blocking, time::timeout};

/// Nobody leads in vain.
const SILENT: i64 = 600_000;

async fn kept(tables: &Tables, address: &str) -> (Keeper, Trust) {
    kept_with(tables, address, (LeaseTimes::default(), SILENT), Warmth::Cold("it reads".into())).await
}

async fn kept_with(
    tables: &Tables,
    address: &str,
    (times, silent): (LeaseTimes, i64),
    warmth: Warmth,
) -> (Keeper, Trust) {
    let options = crate::postgres::DoorOptions { address: Some(address.into()), ..tables.options() };
    let trust = Trust::default();
    let shown = MemberShown { version: "a test".into(), ..MemberShown::default() };
    let parts = KeeperParts {
        door: tables.door_with("khronos", options),
        trust: trust.clone(),
        secret: None,
        shown,
        warmth: watch::channel(warmth).1,
        times,
        seen: watch::channel(Seen::default()).0,
        figures: LeaseFigures::default(),
        silent,
    };
    let keeper = keep(parts).await.unwrap();
    keeper.note_broker(true);
    keeper.begin();
    (keeper, trust)
}

/// Waits until it leads; its term.
async fn leads(keeper: &Keeper) -> u64 {
    let mut role = keeper.role.clone();
    let leading = role.wait_for(|role| matches!(role, Role::Leading { .. }));
    let leading = *timeout(PATIENCE, leading).await.expect("it leads in time").unwrap();
    leading.term().unwrap()
}

/// Waits until it may hand something over.
async fn is_trusted(trust: &Trust) {
    let mut changed = trust.follow();
    let prolonged = changed.wait_for(|_| trust.holds());
    drop(timeout(PATIENCE, prolonged).await.expect("it is trusted in time").unwrap());
}

async fn becomes(keeper: &Keeper, wanted: impl Fn(Role) -> bool) {
    let mut role = keeper.role.clone();
    drop(timeout(PATIENCE, role.wait_for(|role| wanted(*role))).await.expect("it does in time").unwrap());
}

async fn ends(keeper: &Keeper) {
    keeper.stop();
    becomes(keeper, |role| role == Role::Ended || matches!(role, Role::Draining { .. })).await;
    keeper.drained();
    becomes(keeper, |role| role == Role::Ended).await;
}

/// Once it has watched the row for longer than a lease lasts: if it is wanted then it leads at its next look, before anybody else may.
async fn has_watched(keeper: &Keeper) {
    let mut probes = keeper.probes.clone();
    // One at its start, and one a second.
    let third = probes.wait_for(|probes| *probes > 2);
    drop(timeout(PATIENCE, third).await.expect("it probes in time").unwrap());
}

/// Asks the leader to make room, once somebody is there who may lead.
async fn asks_for_another(door: &Door) -> Resigning {
    wait_until("another one to be there", PATIENCE, async || {
        Some(resign(door).await.unwrap()).filter(|asked| *asked != Resigning::Alone)
    })
    .await
}

fn sql(tables: &Tables, statements: &str) -> String {
    Postgres::shared().sql("stores", &statements.replace("{s}", tables.schema()))
}

async fn insert(session: Arc<Session>, key: &'static str) -> Result<(), StoreError> {
    let insert = move || {
        session.write(Writing::default(), async |calls| {
            let sql = format!(
                "insert into {{s}}.span (clock, shard, key, value) values ('khronos', 0, '{key}', '')"
            );
            calls.simple(&sql).await
        })
    };
    spawn_blocking(insert).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_gives_the_lease_back_and_the_one_that_follows_leads_under_a_higher_term() {
    let tables = Tables::new();
    let (first, trust) = kept(&tables, "http://one:7650").await;
    let term = leads(&first).await;
    is_trusted(&trust).await;
    let (second, others) = kept(&tables.of_another_process(), "http://two:7650").await;
    let mut seen = second.seen.clone();
    let found = seen.wait_for(|seen| seen.leader.as_deref() == Some("http://one:7650"));
    drop(timeout(PATIENCE, found).await.expect("it sees the leader").unwrap());
    assert!(*second.role.borrow() == Role::Following && !others.holds());
    ends(&first).await;
    assert!(!trust.holds());
    assert!(leads(&second).await > term);
    ends(&second).await;
    assert_eq!(sql(&tables, "select holder is null from {s}.shard"), "t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_write_in_turns_beside_renewals_and_nothing_after_their_leadership() {
    let tables = Tables::new();
    let (keeper, _) = kept(&tables, "http://one:7650").await;
    let door = keeper.door(leads(&keeper).await);
    let opening = {
        let door = door.clone();
        spawn_blocking(move || door.session())
    };
    let session = opening.await.unwrap().unwrap();
    insert(session.clone(), "a").await.unwrap();
    // A renewal that nobody asks for comes between.
    let beat: u64 = sql(&tables, "select writes from {s}.shard").parse().unwrap();
    let mut renewed = beat;
    while renewed <= beat {
        tokio::task::yield_now().await;
        renewed = sql(&tables, "select writes from {s}.shard").parse().unwrap();
    }
    insert(session.clone(), "b").await.unwrap();
    ends(&keeper).await;
    let refused = insert(session, "c").await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    let opening = spawn_blocking(move || door.session().map(drop));
    let refused = opening.await.unwrap();
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    assert_eq!(sql(&tables, "select count(*) from {s}.span"), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_takes_longer_than_a_renewal_may_is_kept_and_the_leader_goes_on() {
    let tables = Tables::new();
    let (keeper, trust) = kept(&tables, "http://one:7650").await;
    let term = leads(&keeper).await;
    let door = keeper.door(term);
    let session = spawn_blocking(move || door.session()).await.unwrap().unwrap();
    let long = session.clone();
    let written = spawn_blocking(move || {
        long.write(Writing::default(), async |calls| {
            calls.simple("select pg_sleep(0.6)").await?;
            calls
                .simple("insert into {s}.span (clock, shard, key, value) values ('khronos', 0, 'a', '')")
                .await
        })
    });
    written.await.unwrap().unwrap();
    assert_eq!(sql(&tables, "select count(*) from {s}.span"), "1");
    insert(session, "b").await.unwrap();
    let trusted = async {
        while !trust.holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, trusted).await.expect("it is confirmed again");
    assert_eq!(*keeper.role.borrow(), Role::Leading { term });
    ends(&keeper).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_another_one_in_the_row_drops_everything_and_follows() {
    let tables = Tables::new();
    let (keeper, trust) = kept(&tables, "http://one:7650").await;
    let term = leads(&keeper).await;
    let door = keeper.door(term);
    let session = spawn_blocking(move || door.session()).await.unwrap().unwrap();
    sql(
        &tables,
        "update {s}.shard set term = term + 1, holder = gen_random_uuid(), expires_at = clock_timestamp() + interval '2 s'",
    );
    let refused = insert(session, "a").await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    becomes(&keeper, |role| role.term() != Some(term)).await;
    assert!(leads(&keeper).await > term + 1, "once that one is gone");
    is_trusted(&trust).await;
    assert_eq!(sql(&tables, "select count(*) from {s}.span"), "0");
    ends(&keeper).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_asked_to_makes_room_for_who_follows() {
    let tables = Tables::new();
    let (first, _) = kept(&tables, "http://one:7650").await;
    let term = leads(&first).await;
    let door = tables.of_another_process().door("khronos");
    assert_eq!(resign(&door).await.unwrap(), Resigning::Alone);
    let (second, _) = kept(&tables.of_another_process(), "http://two:7650").await;
    has_watched(&second).await;
    let why = Some("it reads".to_owned());
    assert_eq!(asks_for_another(&door).await, Resigning::Cold { next: "http://two:7650".into(), why });
    becomes(&first, |role| role == Role::Draining { term }).await;
    first.drained();
    leads(&second).await;
    let seen = ClusterSeen::of(&door).await.unwrap();
    assert_eq!((seen.leader.as_deref(), seen.members.len()), (Some("http://two:7650"), 2));
    assert!(seen.gap_ms.is_some_and(|gap| (0..60_000).contains(&gap)), "{seen:?}");
    // Each of them shows the same of it: who leads now, and who sees that it does.
    let of_first = wait_until("the first to see who leads", PATIENCE, async || {
        first.figures.seen().filter(|figures| figures.term == Some(seen.term))
    })
    .await;
    let of_second = second.figures.seen().unwrap();
    assert_eq!((of_first.changes, of_first.gap), (2, seen.gap_ms), "its own lead, and that of the other");
    assert_eq!((of_second.term, of_second.changes), (of_first.term, 1));
    assert!(of_second.gap == seen.gap_ms && of_second.ahead.is_some(), "{of_second:?}");
    let leader = seen.members.iter().find(|member| member.leads).unwrap();
    assert!(leader.lives && leader.version == "a test", "{seen:?}");
    ends(&first).await;
    ends(&second).await;
}

/// Once so many members have shown what they are.
async fn seen(door: &Door, count: usize) -> Vec<MemberSeen> {
    wait_until("all of them to be seen", PATIENCE, async || {
        let mut members = ClusterSeen::of(door).await.unwrap().members;
        members.retain(|member| member.lives && member.has_broker);
        (members.len() == count).then_some(members)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_makes_room_for_a_warm_one_where_there_is_one_and_each_says_whether_it_is() {
    let tables = Tables::new();
    let (first, _) = kept(&tables, "http://one:7650").await;
    leads(&first).await;
    let (cold, _) = kept(&tables.of_another_process(), "http://cold:7650").await;
    // It does not look again, and stays warm.
    let now = crate::clock::reading();
    let as_of = Reading { boot: now.boot + 3_600_000, ..now };
    let usual = (LeaseTimes::default(), SILENT);
    let third = tables.of_another_process();
    let (warm, _) = kept_with(&third, "http://warm:7650", usual, Warmth::Warm(as_of)).await;
    has_watched(&warm).await;
    let door = tables.of_another_process().door("khronos");
    for member in seen(&door, 3).await {
        let (is_warm, why) = (member.warm, member.cold.as_deref());
        match member.address.as_deref() {
            Some("http://one:7650") => assert_eq!((is_warm, why, member.warm_ms_ago), (None, None, None)),
            Some("http://cold:7650") => assert_eq!((is_warm, why), (Some(false), Some("it reads"))),
            _ => assert!(is_warm == Some(true) && member.warm_ms_ago >= Some(0), "{member:?}"),
        }
    }
    assert_eq!(asks_for_another(&door).await, Resigning::Asked("http://warm:7650".into()));
    becomes(&first, |role| matches!(role, Role::Draining { .. })).await;
    first.drained();
    leads(&warm).await;
    // What they show as leaders says nothing of why they are cold.
    wait_until("all that follow to say what they are", PATIENCE, async || {
        let members = seen(&door, 3).await;
        members.iter().all(|member| member.leads || member.cold.is_some()).then_some(())
    })
    .await;
    let asked = asks_for_another(&door).await;
    assert!(matches!(asked, Resigning::Cold { why: Some(_), .. }), "{asked:?}");
    for one in [first, cold, warm] {
        ends(&one).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_tables_of_an_older_version_members_show_what_these_have_a_place_for() {
    let tables = Tables::new();
    let door = tables.of_another_process().door("khronos");
    let making = {
        let door = door.clone();
        spawn_blocking(move || door.session().map(drop))
    };
    making.await.unwrap().unwrap();
    sql(
        &tables,
        "alter table {s}.member drop column warm_at, drop column cold; drop table {s}.leadership;
         delete from {s}.migration where number > 4",
    );
    let (first, _) = kept(&tables, "http://one:7650").await;
    leads(&first).await;
    let (second, _) = kept(&tables.of_another_process(), "http://two:7650").await;
    assert!(seen(&door, 2).await.iter().all(|member| member.warm.is_none() && member.cold.is_none()));
    // The first who leads and has a store brings them to the newest form, and all is shown.
    let door_of_first = first.door(leads(&first).await);
    let opening = spawn_blocking(move || door_of_first.session().map(drop));
    opening.await.unwrap().unwrap();
    let shown = async { while seen(&door, 2).await.iter().all(|member| member.cold.is_none()) {} };
    timeout(PATIENCE, shown).await.expect("it is shown in the end");
    ends(&first).await;
    ends(&second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_says_nothing_loses_the_lease_to_one_whose_probes_are_confirmed() {
    let tables = Tables::new();
    let quick = (LeaseTimes { unproven: 300, ..LeaseTimes::default() }, 300);
    let (silent, trust) = kept_with(&tables, "http://one:7650", quick, Warmth::Cold("it reads".into())).await;
    let term = leads(&silent).await;
    let (second, _) = kept(&tables.of_another_process(), "http://two:7650").await;
    let probed = {
        let (second, mut probes) = (second.clone(), second.probes.clone());
        tokio::spawn(async move {
            while probes.changed().await.is_ok() {
                second.confirmed();
            }
        })
    };
    becomes(&silent, |role| role == Role::Draining { term }).await;
    // Nor does it say that it is done.
    assert!(leads(&second).await > term);
    assert!(!trust.holds());
    ends(&silent).await;
    ends(&second).await;
    probed.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keeper_that_nobody_has_any_more_gives_its_lease_back() {
    let tables = Tables::new();
    let (first, _) = kept(&tables, "http://one:7650").await;
    let term = leads(&first).await;
    let mut role = first.role.clone();
    drop(first);
    let ended = role.wait_for(|role| *role == Role::Ended);
    drop(timeout(PATIENCE, ended).await.expect("it ends in time").unwrap());
    assert_eq!(sql(&tables, "select holder is null from {s}.shard"), "t");
    assert!(term > 0);
}
