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
    /// A standby may lack what was committed last; how that is, in words.
    Asynchronous(String),
    /// It can't be told; why, in words.
    Unknown(&'static str),
}

impl Replication {
    /// What a person should know of it, and do about it.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Alone | Self::Synchronous => None,
            Self::Asynchronous(how) => Some(format!(
                "the replication of the store's Postgres is asynchronous ({how}): a failover may lose what was committed last, and send it again or leave it out; set synchronous_standby_names, and synchronous_commit to on"
            )),
            Self::Unknown(why) => Some(format!(
                "the replication of the store's Postgres is unknown ({why}): if it has an asynchronous standby, a failover may lose what was committed last"
            )),
        }
    }

    pub(super) async fn read(calls: &mut Calls<'_>) -> Result<Self, Failed> {
        let may_look = calls.statement(
            "select pg_has_role('pg_read_all_stats', 'usage'), current_setting('synchronous_commit')",
        );
        let row = calls.one(may_look).await?;
        let row = row.ok_or_else(|| Failed::Unreadable("it says nothing of its settings".into()))?;
        let (may_look, commit): (bool, String) = (column(&row, 0)?, column(&row, 1)?);
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
        let mut behind = Vec::new();
        let rows = calls.all(standbys).await?;
        for row in &rows {
            let (name, state): (String, String) = (column(row, 0)?, column(row, 1)?);
            if !["sync", "quorum"].contains(&&*state) {
                behind.push(name);
            }
        }
        Ok(judge(rows.len(), &behind, &commit))
    }
}

/// Of so many standbys these need not have what is committed.
fn judge(standbys: usize, behind: &[String], commit: &str) -> Replication {
    match (standbys, behind, commit) {
        (_, _, "off") => Replication::Asynchronous("synchronous_commit is off".into()),
        (0, ..) => Replication::Alone,
        (_, [], "local") => Replication::Asynchronous("synchronous_commit is local".into()),
        (_, [], _) => Replication::Synchronous,
        (_, [first, others @ ..], _) => Replication::Asynchronous(match others.len() {
            0 => format!("standby {first}"),
            more => format!("standby {first} and {more} more"),
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
            Replication::Unknown(why) => why.to_owned(),
        };
        assert_eq!(how(0, &[], "on"), "alone");
        assert_eq!(how(0, &[], "local"), "alone");
        assert_eq!(how(0, &[], "off"), "synchronous_commit is off");
        assert_eq!(how(1, &[], "on"), "synchronous");
        assert_eq!(how(1, &[], "remote_apply"), "synchronous");
        assert_eq!(how(1, &[], "local"), "synchronous_commit is local");
        assert_eq!(how(2, &["b"], "on"), "standby b");
        assert_eq!(how(3, &["b", "c"], "on"), "standby b and 1 more");
    }

    fn replication(door: &Door) -> Replication {
        Follower::new(door).unwrap().replication().unwrap()
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
        postgres.sql("stores", "alter role postgres set synchronous_commit = local");
        let warning = replication(&door).warning().unwrap();
        assert!(warning.contains("synchronous_commit is local"), "{warning}");
    }
}
