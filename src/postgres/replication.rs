//! What a failover of the server may lose: the row of the lease may go back in time with a standby that lacks the last commits,
//! and no program can mend that.

use super::{
    calls::{Calls, column},
    errors::Failed,
    lease,
};

/// How the server's standbys take part in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replication {
    /// No standby is connected.
    Alone,
    /// Each commit waits for a standby, and no other one is there that could be promoted without it.
    Synchronous,
    /// A standby may lack what was committed last; which, in words.
    Asynchronous(String),
    /// No commit waits for the disk, or for a standby; how that is, in words.
    Unwaited(&'static str),
    /// It can't be told; why, in words.
    Unknown(&'static str),
}

impl Replication {
    /// What a person should know of it, and do about it.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Alone | Self::Synchronous => None,
            Self::Unwaited(how) => Some(asynchronous(how)),
            Self::Asynchronous(how) => Some(asynchronous(how)),
            Self::Unknown(why) => Some(format!(
                "the replication of the store's Postgres is unknown ({why}): if it has an asynchronous standby, a failover may lose what was committed last"
            )),
        }
    }

    /// What counts behind what counted `before`: a standby that may lack something and is gone now lacks more each minute, and may
    /// still be promoted.
    pub fn after(self, before: Option<&Self>) -> Self {
        match (self, before) {
            (Self::Alone, Some(Self::Asynchronous(how))) => Self::Asynchronous(match how.ends_with(GONE) {
                true => how.clone(),
                false => format!("{how}{GONE}"),
            }),
            (now, _) => now,
        }
    }

    pub(super) async fn read(calls: &mut Calls<'_>) -> Result<Self, Failed> {
        let may_look = calls.statement(
            "select pg_has_role('pg_read_all_stats', 'usage'), current_setting('synchronous_commit'),
                current_setting('synchronous_standby_names')",
        );
        let row = calls.one(may_look).await?;
        let row = row.ok_or_else(|| Failed::Unreadable("it says nothing of its settings".into()))?;
        let (may_look, commit, names): (bool, String, String) =
            (column(&row, 0)?, column(&row, 1)?, column(&row, 2)?);
        if !may_look {
            return Ok(Self::Unknown("grant pg_monitor to the clock's role"));
        }
        if !lease::tells_its_timeline(calls).await? {
            return Ok(Self::Unknown("the server does not tell its timeline"));
        }
        // Not those that decode its log for others, nor backups: nobody promotes them.
        let standbys = calls.statement(
            "select application_name, sync_state from pg_stat_replication as sending
             where state in ('streaming', 'catchup') and application_name not in ('pg_basebackup', 'pg_receivewal')
                and not exists (select from pg_replication_slots where active_pid = sending.pid and slot_type = 'logical')
             order by application_name",
        );
        let (mut behind, mut in_quorum) = (Vec::new(), 0);
        let rows = calls.all(standbys).await?;
        for row in &rows {
            let (name, state): (String, String) = (column(row, 0)?, column(row, 1)?);
            match &*state {
                "sync" => {}
                "quorum" => in_quorum += 1,
                _ => behind.push(format!("standby {name}")),
            }
        }
        if let Some(quorum) = lacking(&names, in_quorum) {
            behind.push(quorum);
        }
        // Of standbys that are away; one that never was there kept nothing back.
        let away = calls.statement(
            "select slot_name::text from pg_replication_slots
             where slot_type = 'physical' and not active and not temporary and restart_lsn is not null order by slot_name",
        );
        let away = calls.all(away).await?;
        for row in &away {
            behind.push(format!(
                "the standby of the slot {}, which is not connected",
                column::<String>(row, 0)?
            ));
        }
        Ok(judge(rows.len() + away.len(), &behind, &commit))
    }
}

fn asynchronous(how: &str) -> String {
    format!(
        "the replication of the store's Postgres is asynchronous ({how}): a failover may lose what was committed last, and send it again or leave it out; set synchronous_standby_names, and synchronous_commit to on"
    )
}

const GONE: &str = ", not connected any more";

/// A commit waits for some of a quorum alone, of which so many are there: how many of how many, in words.
fn lacking(synchronous_standby_names: &str, connected: usize) -> Option<String> {
    if connected == 0 {
        return None;
    }
    let names = synchronous_standby_names.trim();
    let any = names.get(..3).filter(|any| any.eq_ignore_ascii_case("any")).and(names.get(3..))?;
    let (count, list) = any.split_once('(')?;
    let count: usize = count.trim().parse().ok()?;
    // A name in quotes may have commas.
    let mut is_quoted = false;
    let commas = list.chars().filter(|c| {
        is_quoted ^= *c == '"';
        *c == ',' && !is_quoted
    });
    let of = connected.max(commas.count() + 1);
    (count < of).then(|| format!("a quorum of {count} of {of} standbys"))
}

/// Of so many standbys these need not have what is committed.
fn judge(standbys: usize, behind: &[String], commit: &str) -> Replication {
    match (standbys, behind, commit) {
        (_, _, "off") => Replication::Unwaited("synchronous_commit is off"),
        (0, ..) => Replication::Alone,
        (_, [], "local") => Replication::Unwaited("synchronous_commit is local"),
        (_, [], _) => Replication::Synchronous,
        (_, [first, others @ ..], _) => Replication::Asynchronous(match others.len() {
            0 => first.clone(),
            more => format!("{first} and {more} more"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::Tables, *};
    use crate::postgres::{Door, Follower, fixture::PATIENCE};
    use testkit::{Postgres, block_until};

    #[test]
    fn a_commit_is_safe_where_it_waits_and_every_standby_is_waited_for() {
        let behind = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let how = |standbys, names: &[&str], commit| match judge(standbys, &behind(names), commit) {
            Replication::Alone => "alone".to_owned(),
            Replication::Synchronous => "synchronous".to_owned(),
            Replication::Asynchronous(how) => how,
            Replication::Unwaited(how) | Replication::Unknown(how) => how.to_owned(),
        };
        assert_eq!(how(0, &[], "on"), "alone");
        assert_eq!(how(0, &[], "local"), "alone");
        assert_eq!(how(0, &[], "off"), "synchronous_commit is off");
        assert_eq!(how(1, &[], "on"), "synchronous");
        assert_eq!(how(1, &[], "remote_apply"), "synchronous");
        assert_eq!(how(1, &[], "local"), "synchronous_commit is local");
        assert_eq!(how(2, &["standby b"], "on"), "standby b");
        assert_eq!(how(3, &["standby b", "standby c"], "on"), "standby b and 1 more");
    }

    #[test]
    fn a_quorum_is_waited_for_where_it_is_all_of_them() {
        for (names, connected, lacks) in [
            ("ANY 1 (a, b)", 2, Some("a quorum of 1 of 2 standbys")),
            ("any 1(a,b)", 1, Some("a quorum of 1 of 2 standbys")),
            ("ANY 1 (*)", 2, Some("a quorum of 1 of 2 standbys")),
            ("ANY 2 (a, b, \"c,d\")", 2, Some("a quorum of 2 of 3 standbys")),
            ("ANY 2 (a, b)", 2, None),
            ("ANY 2 (*)", 2, None),
            ("ANY 1 (\"a,b\")", 1, None),
            ("FIRST 1 (a, b)", 0, None),
            ("a, b", 0, None),
            ("", 0, None),
        ] {
            assert_eq!(lacking(names, connected).as_deref(), lacks, "{names}");
        }
    }

    #[test]
    fn a_standby_that_lacked_something_lacks_more_when_it_is_away() {
        let lacks = |how: &str| Replication::Asynchronous(how.to_owned());
        let away = Replication::Alone.after(Some(&lacks("standby b")));
        assert_eq!(away, lacks("standby b, not connected any more"));
        assert_eq!(Replication::Alone.after(Some(&away)), away);
        assert_eq!(Replication::Synchronous.after(Some(&away)), Replication::Synchronous);
        for before in [None, Some(&Replication::Unwaited("off")), Some(&Replication::Unknown("it"))] {
            assert_eq!(Replication::Alone.after(before), Replication::Alone);
        }
    }

    fn replication(door: &Door) -> Replication {
        Follower::new(door).replication().unwrap()
    }

    #[test]
    fn a_role_that_may_not_look_is_warned_until_it_may() {
        let tables = Tables::new();
        let postgres = Postgres::shared();
        let role = format!("clock_of_{}", tables.schema());
        postgres.sql("stores", &format!("create role {role} login password 'sesame'"));
        let door = tables.by(&postgres.url(&role, "sesame", "stores")).door("khronos");
        let unknown = replication(&door).warning().unwrap();
        assert!(unknown.contains("unknown") && unknown.contains("grant pg_monitor"), "{unknown}");
        postgres.sql("stores", &format!("grant pg_monitor to {role}"));
        assert_eq!(replication(&door), Replication::Alone);
    }

    #[test]
    fn a_standby_that_commits_do_not_wait_for_is_a_warning_until_they_do() {
        let postgres = Postgres::start(true);
        let tables = Tables::at(&postgres.database("stores"));
        let door = tables.door("khronos");
        assert_eq!(replication(&door), Replication::Alone);
        let _standby = postgres.standby("second");
        let seen = |wanted: &str| {
            block_until(wanted, PATIENCE, || {
                let seen = replication(&door);
                format!("{seen:?}").starts_with(wanted).then_some(seen)
            })
        };
        let warning = seen("Asynchronous").warning().unwrap();
        assert!(
            warning.contains("standby second") && warning.contains("synchronous_standby_names"),
            "{warning}"
        );
        postgres.sql("stores", "alter system set synchronous_standby_names = 'second'");
        postgres.sql("stores", "select pg_reload_conf()");
        assert_eq!(seen("Synchronous").warning(), None);
        postgres.sql("stores", "alter system set synchronous_standby_names = 'ANY 1 (second, third)'");
        postgres.sql("stores", "select pg_reload_conf()");
        let warning = seen("Asynchronous").warning().unwrap();
        assert!(warning.contains("a quorum of 1 of 2 standbys"), "{warning}");
        postgres.sql("stores", "alter system set synchronous_standby_names = 'ANY 1 (second)'");
        postgres.sql("stores", "select pg_reload_conf()");
        assert_eq!(seen("Synchronous").warning(), None);
        postgres.sql("stores", "alter role postgres set synchronous_commit = local");
        // It is so for sessions that begin.
        let warning = replication(&tables.door("khronos")).warning().unwrap();
        assert!(warning.contains("synchronous_commit is local"), "{warning}");
    }

    #[test]
    fn a_standby_that_is_away_is_known_by_its_slot_once_it_was_there() {
        let postgres = Postgres::start(false);
        let door = Tables::at(&postgres.database("stores")).door("khronos");
        postgres.sql("stores", "select pg_create_physical_replication_slot('second')");
        assert_eq!(replication(&door), Replication::Alone, "nobody ever used it");
        postgres.sql("stores", "select pg_create_physical_replication_slot('third', true)");
        let warning = replication(&door).warning().unwrap();
        assert!(warning.contains("the standby of the slot third, which is not connected"), "{warning}");
    }
}
