//! What the files of each member say, by a digest, and since when; and all of what a member changed to last, for whoever leads and has
//! other files. It lies in the tables, so that it is there also when that member is gone; who may write to them may change schedules
//! anyway.

use super::{
    Door,
    calls::{Calls, Statement, column},
    errors::Failed,
    members::asked,
};
use crate::store::StoreError;
use sqlx::postgres::PgRow;

/// Bytes of what files say in one row.
const PIECE: usize = 1 << 20;
/// Members whose files are known at most: those that changed last.
const KNOWN: i64 = 1_000;

/// What a member's files say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilesNote<'a> {
    pub(crate) digest: &'a str,
    /// All of it, where it is not too large.
    pub(crate) bytes: Option<&'a [u8]>,
    /// Nobody wanted that: it counts as a change to nothing.
    pub(crate) is_assumed: bool,
}

/// What a member changed to last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewestFiles {
    pub(crate) digest: String,
    /// All of it lies in the tables.
    pub(crate) is_there: bool,
}

/// Notes what the files of a member say, and when it changed to that; a place that is new has changed to what is known already when
/// that was changed to. Where that is what a member changed to last, all of it is left, instead of what was there before.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn note_files(
    door: &Door,
    place: &str,
    FilesNote { digest, bytes, is_assumed }: FilesNote<'_>,
) -> Result<NewestFiles, StoreError> {
    let (since, changed) = match is_assumed {
        true => ("'-infinity'", "nothing"),
        false => (
            "clock_timestamp()",
            "update set digest = excluded.digest, changed_at =
                case when files.digest = excluded.digest then files.changed_at else clock_timestamp() end",
        ),
    };
    let note = format!(
        "insert into {{s}}.files (clock, shard, place, digest, changed_at) values ($1, $2, $3, $4, coalesce(
            (select max(changed_at) from {{s}}.files where clock = $1 and shard = $2 and digest = $4), {since}))
        on conflict (clock, shard, place) do {changed}"
    );
    let forget = "delete from {s}.files where clock = $1 and shard = $2 and place in
        (select place from {s}.files where clock = $1 and shard = $2 order by changed_at desc, digest offset $3)";
    asked(door, async |calls| {
        let note = named(calls, door, &note).bind(place.to_owned()).bind(digest.to_owned());
        calls.execute(note).await?;
        calls.execute(named(calls, door, forget).bind(KNOWN)).await?;
        let newest = newest(calls, door).await?;
        let newest = newest.ok_or_else(|| Failed::Unreadable("what was noted of files is missing".into()))?;
        if newest.digest != digest || newest.is_there || !has_room(calls).await? {
            return Ok(newest);
        }
        let Some(bytes) = bytes else { return Ok(newest) };
        leave(calls, door, (digest, bytes)).await?;
        Ok(NewestFiles { is_there: true, ..newest })
    })
    .await
}

/// What a member changed to last; `None` where none has noted anything.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn newest_files(door: &Door) -> Result<Option<NewestFiles>, StoreError> {
    asked(door, async |calls| newest(calls, door).await).await
}

/// All that is known by this digest; `None` where it is not there.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn files_of(door: &Door, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let pieces =
        "select value from {s}.files_text where clock = $1 and shard = $2 and digest = $3 order by piece";
    asked(door, async |calls| {
        if !has_room(calls).await? {
            return Ok(None);
        }
        let pieces = calls.all(named(calls, door, pieces).bind(digest.to_owned())).await?;
        let pieces: Vec<&[u8]> = pieces.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
        Ok((!pieces.is_empty()).then(|| pieces.concat()))
    })
    .await
}

fn named(calls: &Calls<'_>, door: &Door, sql: &str) -> Statement {
    calls.statement(sql).bind(door.shard().clock.to_string()).bind(door.shard().shard)
}

/// Whether there is the table for it: a leader of an earlier version has not made it.
async fn has_room(calls: &mut Calls<'_>) -> Result<bool, Failed> {
    let there = calls.one(calls.statement("select to_regclass('{s}.files_text') is not null")).await?;
    there.map_or(Ok(false), |row| column(&row, 0))
}

async fn newest(calls: &mut Calls<'_>, door: &Door) -> Result<Option<NewestFiles>, Failed> {
    const NEWEST: &str = "select digest, false from {s}.files where clock = $1 and shard = $2
        order by changed_at desc, digest limit 1";
    const WITH_TEXT: &str = "select digest, exists (select 1 from {s}.files_text as kept
            where kept.clock = $1 and kept.shard = $2 and kept.digest = files.digest)
        from {s}.files where clock = $1 and shard = $2 order by changed_at desc, digest limit 1";
    let newest = if has_room(calls).await? { WITH_TEXT } else { NEWEST };
    let row = calls.one(named(calls, door, newest)).await?;
    let read = |row: PgRow| Ok(NewestFiles { digest: column(&row, 0)?, is_there: column(&row, 1)? });
    row.map(read).transpose()
}

/// Leaves it for others. What another one has changed to meanwhile stays.
async fn leave(calls: &mut Calls<'_>, door: &Door, (digest, bytes): (&str, &[u8])) -> Result<(), Failed> {
    let insert = "insert into {s}.files_text (clock, shard, digest, piece, value) values ($1, $2, $3, $4, $5)
        on conflict do nothing";
    let forget = "delete from {s}.files_text where clock = $1 and shard = $2 and digest <>
        (select digest from {s}.files where clock = $1 and shard = $2 order by changed_at desc, digest limit 1)";
    // Where there are no files, there is one empty piece.
    let pieces = bytes.chunks(PIECE).chain(bytes.is_empty().then_some(bytes));
    for (piece, value) in (0_i32..).zip(pieces) {
        let insert = named(calls, door, insert).bind(digest.to_owned()).bind(piece).bind(value.to_vec());
        calls.execute(insert).await?;
    }
    calls.execute(named(calls, door, forget)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::fixture::Tables;
    use testkit::Postgres;

    struct Scene {
        tables: Tables,
        door: Door,
        runtime: tokio::runtime::Runtime,
    }

    impl Scene {
        /// Tables as whoever leads has made them.
        fn new() -> Self {
            let tables = Tables::new();
            let door = tables.door("khronos");
            drop(door.session().unwrap());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            Self { tables, door, runtime }
        }

        fn note(&self, place: &str, note: FilesNote<'_>) -> NewestFiles {
            self.runtime.block_on(note_files(&self.door, place, note)).unwrap()
        }

        /// Whether it is what a member changed to last.
        fn is_newest(&self, place: &str, digest: &str) -> bool {
            self.note(place, FilesNote { digest, bytes: None, is_assumed: false }).digest == digest
        }

        fn of(&self, digest: &str) -> Option<Vec<u8>> {
            self.runtime.block_on(files_of(&self.door, digest)).unwrap()
        }

        fn sql(&self, statements: &str) -> String {
            Postgres::shared().sql("stores", &statements.replace("{s}", self.tables.schema()))
        }
    }

    #[test]
    fn the_files_that_a_member_changed_to_last_count_and_who_is_started_again_changes_nothing() {
        let scene = Scene::new();
        assert!(scene.is_newest("one", "a") && scene.is_newest("two", "a"));
        // A rolling deployment: one has new files, two is started again with its old ones.
        assert!(scene.is_newest("one", "b"));
        assert!(!scene.is_newest("two", "a"), "it did not change");
        assert!(scene.is_newest("one", "b"));
        assert!(scene.is_newest("two", "b"));
        // And back.
        assert!(scene.is_newest("two", "a") && !scene.is_newest("one", "b"));
        // One that is started again under another name, with what was known before.
        assert!(!scene.is_newest("three", "b") && scene.is_newest("two", "a"), "nobody changed to that");
        assert!(
            scene.is_newest("four", "a") && scene.is_newest("five", "c") && !scene.is_newest("four", "a")
        );
    }

    #[test]
    fn what_nobody_wanted_counts_as_a_change_to_nothing() {
        let scene = Scene::new();
        let assumed =
            |place| scene.note(place, FilesNote { digest: "built-in", bytes: None, is_assumed: true });
        assert_eq!(assumed("one").digest, "built-in", "there is nothing else");
        assert!(scene.is_newest("two", "a"));
        // A mount is lost, and the clock is started again.
        assert_eq!((assumed("two").digest, assumed("three").digest), ("a".into(), "a".into()));
        assert!(scene.is_newest("two", "a"));
    }

    #[test]
    fn all_of_what_a_member_changed_to_last_lies_in_the_tables_and_nothing_else() {
        let scene = Scene::new();
        let (small, large) = (vec![1; 10], vec![2; 3 * PIECE + 1]);
        let note = |place, digest, bytes| scene.note(place, FilesNote { digest, bytes, is_assumed: false });
        let is = |digest: &str, is_there| NewestFiles { digest: digest.into(), is_there };
        assert_eq!(note("one", "a", Some(&small)), is("a", true));
        assert_eq!(note("two", "a", Some(&small)), is("a", true));
        assert_eq!(note("two", "b", None), is("b", false), "it is too large");
        assert_eq!(note("one", "a", Some(&small)), is("b", false));
        assert_eq!((scene.of("a"), scene.of("b")), (Some(small.clone()), None));
        assert_eq!(note("two", "c", Some(&large)), is("c", true));
        assert_eq!((scene.of("a"), scene.of("c")), (None, Some(large.clone())));
        assert_eq!(scene.sql("select count(*) from {s}.files_text"), "4");
        assert_eq!(scene.runtime.block_on(newest_files(&scene.door)).unwrap(), Some(is("c", true)));
        assert_eq!(note("two", "none", Some(&[])), is("none", true));
        assert_eq!(scene.of("none"), Some(Vec::new()), "no files are files, too");
    }

    #[test]
    fn while_a_clock_of_an_earlier_version_leads_files_are_noted_without_what_they_say() {
        let scene = Scene::new();
        scene.sql("drop table {s}.files_text");
        let note = FilesNote { digest: "a", bytes: Some(&[1]), is_assumed: false };
        assert_eq!(scene.note("one", note), NewestFiles { digest: "a".into(), is_there: false });
        assert_eq!(scene.of("a"), None);
    }
}
