//! The row of a shard, and who writes to it.

use super::{
    Failed, Follower, Writing,
    fixture::{PATIENCE, Tables},
    schema::NEWEST,
};
use crate::store::StoreError;
use std::{sync::Barrier, thread, time::Duration};
use testkit::{Postgres, block_until};

const HOUR: Duration = Duration::from_secs(3_600);

fn sql(tables: &Tables, statements: &str) -> String {
    Postgres::shared().sql("stores", &statements.replace("{s}", tables.schema()))
}

fn shown<T>(result: Result<T, StoreError>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn of_many_that_begin_at_once_one_leads_and_the_tables_are_made_once() {
    let tables = Tables::new();
    let ready = Barrier::new(8);
    let opened: Vec<_> = thread::scope(|scope| {
        let begin = |_| {
            scope.spawn(|| {
                let process = tables.of_another_process();
                let options = super::DoorOptions { ttl: HOUR, ..process.options() };
                let door = process.door_with("khronos", options);
                ready.wait();
                door.session()
            })
        };
        let all: Vec<_> = (0..8).map(begin).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(opened.iter().filter(|one| one.is_ok()).count(), 1, "{opened:?}");
    for refused in opened.iter().filter_map(|one| one.as_ref().err()) {
        assert!(matches!(refused, StoreError::Led { .. }), "{refused}");
    }
    assert_eq!(sql(&tables, "select count(*), max(number) from {s}.migration"), format!("{NEWEST}|{NEWEST}"));
}

#[test]
fn of_clocks_of_different_names_that_begin_at_once_in_a_new_schema_one_has_it() {
    let tables = Tables::new();
    let ready = Barrier::new(8);
    let opened: Vec<_> = thread::scope(|scope| {
        let begin = |number: usize| {
            let (tables, ready) = (&tables, &ready);
            scope.spawn(move || {
                let process = tables.of_another_process();
                let options = super::DoorOptions { ttl: HOUR, ..process.options() };
                let door = process.door_with(["khronos", "kairos"][number % 2], options);
                ready.wait();
                door.session()
            })
        };
        let all: Vec<_> = (0..8).map(begin).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(opened.iter().filter(|one| one.is_ok()).count(), 1, "{opened:?}");
    let others = opened.iter().filter(|one| matches!(one, Err(StoreError::OtherClock { .. })));
    assert_eq!(others.count(), 4, "{opened:?}");
    assert_eq!(sql(&tables, "select count(*) from {s}.shard"), "1", "those leave nothing behind");
}

#[test]
fn while_one_leads_another_is_told_where_and_leads_as_soon_as_that_one_resigns() {
    let tables = Tables::new();
    let address = Some("http://one:8080".into());
    let options = super::DoorOptions { ttl: HOUR, address, ..tables.options() };
    let first = tables.door_with("khronos", options);
    let session = first.session().unwrap();
    let other = tables.of_another_process();
    // All go by one length of the lease: what lies far beyond it was written before the server's clock went back.
    let second = other.door_with("khronos", super::DoorOptions { ttl: HOUR, ..other.options() });
    let follower = Follower::new(&second);
    let seen = follower.look().unwrap().unwrap();
    assert_eq!(seen.address.as_deref(), Some("http://one:8080"));
    assert!(!seen.is_free && !seen.is_ours && !seen.is_expired && !seen.is_replica, "{seen:?}");
    assert!(Follower::new(&first).look().unwrap().unwrap().is_ours);
    let saved = session.renew().unwrap();
    assert_eq!((saved.writes, saved.wanted_by), (1, None));
    let renewed = follower.look().unwrap().unwrap();
    assert_eq!((renewed.term, renewed.beat), (seen.term, seen.beat + 1));
    let refused = shown(second.session());
    assert!(refused.contains("another clock of this name at http://one:8080"), "{refused}");
    assert!(!refused.contains("testkit-secret"), "{refused}");
    sql(&tables, "update {s}.shard set wanted_by = gen_random_uuid()");
    assert!(session.renew().unwrap().wanted_by.is_some());
    drop(session);
    let seen = follower.look().unwrap().unwrap();
    assert!(seen.is_free && seen.is_expired && seen.address.is_none(), "{seen:?}");
    second.session().unwrap();
}

#[test]
fn one_that_was_killed_is_waited_for_until_its_lease_has_run_out() {
    let tables = Tables::new();
    // It never resigns, as one that is gone.
    let gone = tables.door("khronos").session().unwrap();
    gone.write(Writing::default(), async |_| Ok(())).unwrap();
    let next = tables.of_another_process().door("khronos").session().unwrap();
    assert!(matches!(gone.renew(), Err(StoreError::Fenced { .. })));
    next.renew().unwrap();
}

#[test]
fn a_write_to_a_row_of_its_own_process_that_is_not_as_it_was_left_is_not_fenced_but_tried_again() {
    let tables = Tables::new();
    let door = tables.door("khronos");
    // As where a turn was taken late, and the lease was renewed by another connection meanwhile; and where a server behind a pooler
    // crashed, and lost what need not last.
    for (changed, writes) in [("+ 1", 3), ("- 2", 3)] {
        let session = door.session().unwrap();
        session.renew().unwrap();
        sql(&tables, &format!("update {{s}}.shard set writes = writes {changed}, beat = beat {changed}"));
        let refused = session.renew();
        assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
        assert!(session.is_broken());
        assert_eq!(door.session().unwrap().renew().unwrap().writes, writes);
    }
    let session = door.session().unwrap();
    sql(&tables, "update {s}.shard set term = term + 1");
    assert!(matches!(session.renew(), Err(StoreError::Fenced { .. })), "a later term is another leadership");
}

#[test]
fn whatever_is_usual_for_a_role_a_write_lasts_unless_it_may_be_lost() {
    let tables = Tables::new();
    let usual = "options[synchronous_commit]=off&options[statement_timeout]=50000&options[default_transaction_isolation]=serializable";
    let door = tables.by(&format!("{}?{usual}", tables.url())).door("khronos");
    let session = door.session().unwrap();
    for (may_be_lost, expected) in [(false, "on/0/read committed"), (true, "off/0/read committed")] {
        let writing = Writing { may_be_lost, ..Writing::default() };
        let settings = session.write(writing, async |calls| {
            let ask =
                "select current_setting('synchronous_commit') || '/' || current_setting('statement_timeout')
                || '/' || current_setting('transaction_isolation')";
            let row = calls.one(calls.statement(ask)).await?;
            super::column::<String>(&row.unwrap(), 0)
        });
        assert_eq!(settings.unwrap(), expected);
    }
}

#[test]
fn one_that_goes_on_writing_is_not_waited_for() {
    let tables = Tables::new();
    let session = tables.door("khronos").session().unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let renewing = scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                session.renew().unwrap();
            }
        });
        let refused = tables.of_another_process().door("khronos").session();
        is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(matches!(refused, Err(StoreError::Led { .. })), "{refused:?}");
        renewing.join().unwrap();
    });
}

#[test]
fn terms_rise_with_each_acquisition_and_have_the_timeline_above() {
    let tables = Tables::new();
    let term = || sql(&tables, "select term >> 32, term & 4294967295 from {s}.shard");
    drop(tables.door("khronos").session().unwrap());
    assert_eq!(term(), "1|0");
    drop(tables.of_another_process().door("khronos").session().unwrap());
    drop(tables.door("khronos").session().unwrap());
    assert_eq!(term(), "1|2");
}

#[test]
fn a_write_of_one_that_was_overtaken_is_refused_and_all_of_it_is_undone() {
    let tables = Tables::new();
    let session = tables.door("khronos").session().unwrap();
    let note = async |calls: &mut super::Calls<'_>| {
        calls.simple("insert into {s}.span (clock, shard, key, value) values ('khronos', 0, 'a', 'b')").await
    };
    session.write(Writing::default(), async |_| Ok(())).unwrap();
    // As the row stands after another term, or another holder.
    for (changed, back) in
        [("term = term + 1", "term = term - 1"), ("holder = '00000000-0000-0000-0000-000000000001'", "")]
    {
        let tables = Tables::new();
        let session = tables.door("khronos").session().unwrap();
        sql(&tables, &format!("update {{s}}.shard set {changed}"));
        let refused = session.write(Writing::default(), note).unwrap_err();
        assert!(matches!(refused, StoreError::Fenced { .. }), "{changed}: {refused}");
        assert_eq!(sql(&tables, "select count(*) from {s}.span"), "0", "{changed}");
        if !back.is_empty() {
            sql(&tables, &format!("update {{s}}.shard set {back}"));
        }
        let refused = session.write(Writing::default(), note).unwrap_err();
        assert!(matches!(refused, StoreError::Fenced { .. }), "for ever: {refused}");
        assert_eq!(sql(&tables, "select count(*) from {s}.span"), "0", "{changed}");
    }
    session.write(Writing::default(), note).unwrap();
    assert_eq!(sql(&tables, "select count(*) from {s}.span"), "1");
}

#[test]
fn what_fails_within_a_write_undoes_it_and_the_next_session_goes_on() {
    let tables = Tables::new();
    let door = tables.door("khronos");
    let session = door.session().unwrap();
    let failed = session.write(Writing::default(), async |calls| {
        calls
            .simple("insert into {s}.span (clock, shard, key, value) values ('khronos', 0, 'a', 'b')")
            .await?;
        Err::<(), _>(Failed::Unreadable("on purpose".into()))
    });
    assert!(matches!(failed, Err(StoreError::Damaged { .. })), "{failed:?}");
    assert!(session.is_broken());
    let next = door.session().unwrap();
    next.write(Writing::default(), async |_| Ok(())).unwrap();
    assert_eq!(sql(&tables, "select (select count(*) from {s}.span), writes from {s}.shard"), "0|1");
    let old = session.write(Writing::default(), async |_| Ok(()));
    assert!(matches!(old, Err(StoreError::Io { .. })), "what is damaged is not the other store's: {old:?}");
}

#[test]
fn what_renews_the_lease_goes_before_others_that_wait() {
    let tables = Tables::new();
    let session = tables.door("khronos").session().unwrap();
    let order = std::sync::Mutex::new(Vec::new());
    let (begun, go_on) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let wait = async |_: &mut super::Calls<'_>| {
                begun.wait();
                go_on.wait();
                Ok(())
            };
            session.write(Writing::default(), wait).unwrap();
        });
        begun.wait();
        for (name, goes_first) in [("others", false), ("lease", true)] {
            let (order, session) = (&order, &session);
            scope.spawn(move || {
                let note = async |_: &mut super::Calls<'_>| {
                    order.lock().unwrap().push(name);
                    Ok(())
                };
                session.write(Writing { goes_first, ..Writing::default() }, note).unwrap();
            });
        }
        block_until("both to wait", PATIENCE, || (session.waiting() == 2).then_some(()));
        go_on.wait();
    });
    assert_eq!(*order.lock().unwrap(), ["lease", "others"]);
}

#[test]
fn tables_of_a_newer_version_are_refused_and_left_as_they_are() {
    let tables = Tables::new();
    drop(tables.door("khronos").session().unwrap());
    sql(&tables, &format!("insert into {{s}}.migration (number) values ({})", NEWEST + 1));
    let before = sql(&tables, "select term, beat from {s}.shard");
    let refused = tables.door("khronos").session().err().unwrap();
    assert!(
        matches!(refused, StoreError::Newer { form, known, .. } if form == NEWEST + 1 && known == NEWEST),
        "{refused}"
    );
    assert_eq!(sql(&tables, "select term, beat from {s}.shard"), before);
}

#[test]
fn the_row_of_the_shard_is_updated_in_its_page() {
    // A database of its own: what others read in the same one keeps old versions of the row where they are.
    let postgres = Postgres::shared();
    let tables = Tables::at(&postgres.database("one-page"));
    let sql = |tables: &Tables, statements: &str| {
        postgres.sql("one-page", &statements.replace("{s}", tables.schema()))
    };
    let session = tables.door("khronos").session().unwrap();
    for write in 0..300_i64 {
        let state = Some(vec![7; 100 + (write % 50) as usize]);
        let progress = super::Progress { settled: Some(write), state, ..super::Progress::default() };
        session.write(Writing { progress, ..Writing::default() }, async |_| Ok(())).unwrap();
    }
    drop(session);
    let stats = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables
         where schemaname = '{s}' and relname = 'shard' and n_tup_upd >= 301";
    let counted = block_until("the statistics of the server", PATIENCE, || {
        Some(sql(&tables, stats)).filter(|counted| !counted.is_empty())
    });
    let (all, hot) = counted.split_once('|').unwrap();
    let (all, hot): (u64, u64) = (all.parse().unwrap(), hot.parse().unwrap());
    // But for a few: now and then the page is full before the server has cleaned it, of which a look at it by anybody keeps it. Were
    // an index touched, none would be.
    assert!(hot * 100 >= all * 80, "an index is touched: {hot} of {all}");
    let pages: u64 = sql(&tables, "select pg_relation_size('{s}.shard') / 8192").parse().unwrap();
    assert!(pages <= 8, "{pages} pages");
}

#[test]
fn a_role_that_may_not_make_the_tables_is_told_what_it_needs() {
    let tables = Tables::new();
    let role = format!("reader_of_{}", tables.schema());
    sql(&tables, &format!("create role {role} login password 'sesame'"));
    let url = Postgres::shared().url(&role, "sesame", "stores");
    let refused = shown(tables.by(&url).door("khronos").session());
    assert!(refused.contains("grant the permission") && !refused.contains("sesame"), "{refused}");
    // With its tables it needs no more than to use them.
    drop(tables.door("khronos").session().unwrap());
    sql(
        &tables,
        &format!(
            "grant usage on schema {{s}} to {role}; grant select, insert, update, delete on all tables in schema {{s}} to {role}"
        ),
    );
    tables.by(&url).door("khronos").session().unwrap();
}

#[test]
fn what_is_usual_for_the_role_does_not_hold_for_what_the_clock_writes() {
    let tables = Tables::new();
    let role = format!("strict_of_{}", tables.schema());
    sql(
        &tables,
        &format!(
            "create role {role} login password 'sesame'; grant create on database stores to {role};
             alter role {role} set statement_timeout = '7s'; alter role {role} set default_transaction_read_only = on;
             alter role {role} set default_transaction_isolation = 'serializable'"
        ),
    );
    let url = Postgres::shared().url(&role, "sesame", "stores");
    let session = tables.by(&url).door("khronos").session().unwrap();
    let held = session.write(Writing { may_be_lost: true, ..Writing::default() }, async |calls| {
        let look = calls.statement(
            "select concat_ws(' ', current_setting('transaction_isolation'), current_setting('transaction_read_only'),
                current_setting('statement_timeout'), current_setting('synchronous_commit'))",
        );
        let row = calls.one(look).await?.unwrap();
        super::column::<String>(&row, 0)
    });
    assert_eq!(held.unwrap(), "read committed off 0 off");
}

#[test]
fn a_wrong_password_or_database_is_told_with_the_remedy_and_not_shown() {
    let postgres = Postgres::shared();
    Tables::new().door("khronos").session().unwrap();
    let wrong = Tables::at(&postgres.url("postgres", "sesame", "stores"));
    let refused = shown(wrong.door("khronos").session());
    assert!(refused.contains("check the user and password") && !refused.contains("sesame"), "{refused}");
    let wrong = Tables::at(&postgres.url("postgres", "testkit-secret", "nowhere"));
    let refused = shown(wrong.door("khronos").session());
    assert!(refused.contains("create the database") && !refused.contains("secret"), "{refused}");
}
