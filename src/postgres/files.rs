//! What the files of each member say, by a digest, and since when; and all of what a member changed to last, for whoever leads and has
//! other files. It lies in the tables, so that it is there also when that member is gone; who may write to them may change schedules
//! anyway.

use super::{
    Door,
    calls::{Calls, Statement, column},
    errors::Failed,
    members::asked,
};
use crate::{sources::MOST_BYTES, store::StoreError};
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
    /// Nobody wanted that: it counts as a change to nothing, also where another release assumes something else.
    pub(crate) is_assumed: bool,
}

/// What a member changed to last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewestFiles {
    pub(crate) digest: String,
    /// All of it lies in the tables.
    pub(crate) is_there: bool,
    /// It was wanted, and what the place that asks has noted is something else, if anything.
    pub(crate) is_others: bool,
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
        true => ("'-infinity'", "update set digest = excluded.digest where files.changed_at = '-infinity'"),
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
        let newest = newest(calls, door, place).await?;
        let newest = newest.ok_or_else(|| Failed::Unreadable("what was noted of files is missing".into()))?;
        if newest.digest != digest || newest.is_there || !has_room(calls).await? {
            return Ok(newest);
        }
        let Some(bytes) = bytes else { return Ok(newest) };
        leave(calls, door, place, (digest, bytes)).await?;
        Ok(NewestFiles { is_there: true, ..newest })
    })
    .await
}

/// What a member changed to last, as the one of this place sees it; `None` where none has noted anything.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn newest_files(door: &Door, place: &str) -> Result<Option<NewestFiles>, StoreError> {
    asked(door, async |calls| newest(calls, door, place).await).await
}

/// All that is known by this digest; `None` where it is not there. It is read piece by piece, so that each call comes within its limit,
/// and nothing beyond what a member leaves at most.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn files_of(door: &Door, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let piece = "select substring(value for $5) from {s}.files_text
        where clock = $1 and shard = $2 and digest = $3 and piece = $4";
    asked(door, async |calls| {
        if !has_room(calls).await? {
            return Ok(None);
        }
        let mut all: Option<Vec<u8>> = None;
        for number in (0_i32..).take(MOST_BYTES / PIECE) {
            let piece = named(calls, door, piece).bind(digest.to_owned()).bind(number).bind(PIECE as i32);
            let Some(row) = calls.one(piece).await? else { break };
            all.get_or_insert_with(Vec::new).extend_from_slice(column(&row, 0)?);
        }
        Ok(all)
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

/// Of those that nobody wanted, which all count alike, it is the one of this place.
async fn newest(calls: &mut Calls<'_>, door: &Door, place: &str) -> Result<Option<NewestFiles>, Failed> {
    let is_there = match has_room(calls).await? {
        true => {
            "exists (select 1 from {s}.files_text as kept
                where kept.clock = $1 and kept.shard = $2 and kept.digest = files.digest)"
        }
        false => "false",
    };
    let newest = format!(
        "select digest, {is_there}, changed_at > '-infinity' and not exists (select 1 from {{s}}.files as own
                where own.clock = $1 and own.shard = $2 and own.place = $3 and own.digest = files.digest)
        from {{s}}.files where clock = $1 and shard = $2 order by changed_at desc, place = $3 desc, digest limit 1"
    );
    let row = calls.one(named(calls, door, &newest).bind(place.to_owned())).await?;
    let read = |row: PgRow| {
        Ok(NewestFiles { digest: column(&row, 0)?, is_there: column(&row, 1)?, is_others: column(&row, 2)? })
    };
    row.map(read).transpose()
}

/// Leaves it for others. What another one has changed to meanwhile stays.
async fn leave(
    calls: &mut Calls<'_>,
    door: &Door,
    place: &str,
    (digest, bytes): (&str, &[u8]),
) -> Result<(), Failed> {
    let insert = "insert into {s}.files_text (clock, shard, digest, piece, value) values ($1, $2, $3, $4, $5)
        on conflict do nothing";
    let forget = "delete from {s}.files_text where clock = $1 and shard = $2 and digest <>
        (select digest from {s}.files where clock = $1 and shard = $2
            order by changed_at desc, place = $3 desc, digest limit 1)";
    // Where there are no files, there is one empty piece.
    let pieces = bytes.chunks(PIECE).chain(bytes.is_empty().then_some(bytes));
    for (piece, value) in (0_i32..).zip(pieces) {
        let insert = named(calls, door, insert).bind(digest.to_owned()).bind(piece).bind(value.to_vec());
        calls.execute(insert).await?;
    }
    calls.execute(named(calls, door, forget).bind(place.to_owned())).await.map(drop)
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
    fn what_another_release_assumes_is_what_counts_where_nobody_wanted_anything() {
        let scene = Scene::new();
        let assumed = |place, digest, text: &[u8]| {
            let newest = scene.note(place, FilesNote { digest, bytes: Some(text), is_assumed: true });
            (newest.digest, newest.is_there, newest.is_others)
        };
        for (former, next) in [("a", "b"), ("d", "c")] {
            assert_eq!(assumed("one", former, b"former"), (former.into(), true, false));
            // One after the other is upgraded, whichever text comes first.
            assert_eq!(assumed("two", next, b"next"), (next.into(), true, false));
            assert_eq!(assumed("one", next, b"next"), (next.into(), true, false));
            assert_eq!((scene.of(former), scene.of(next)), (None, Some(b"next".to_vec())));
        }
        assert!(scene.is_newest("three", "wanted"));
        assert_eq!(assumed("one", "e", b"later"), ("wanted".into(), false, true));
    }

    #[test]
    fn of_a_place_that_has_noted_nothing_or_something_else_the_newest_is_another_ones() {
        let scene = Scene::new();
        let newest = |place| scene.runtime.block_on(newest_files(&scene.door, place)).unwrap();
        assert_eq!(newest("one"), None);
        assert!(scene.is_newest("one", "a") && scene.is_newest("two", "b"));
        let is_others = ["one", "two", "three"].map(|place| newest(place).unwrap().is_others);
        assert_eq!(is_others, [true, false, true]);
        assert!(scene.is_newest("one", "b"));
        assert!(!newest("one").unwrap().is_others);
    }

    #[test]
    fn of_what_lies_there_no_more_is_read_than_a_member_leaves() {
        let scene = Scene::new();
        scene.sql(&format!(
            "insert into {{s}}.files_text (clock, shard, digest, piece, value)
                select 'khronos', (select shard from {{s}}.shard), 'a', number, convert_to(repeat('x', {PIECE} + number), 'UTF8')
                from generate_series(0, {}) as number",
            MOST_BYTES / PIECE
        ));
        assert_eq!(scene.of("a").map(|all| all.len()), Some(MOST_BYTES));
    }

    #[test]
    fn all_of_what_a_member_changed_to_last_lies_in_the_tables_and_nothing_else() {
        let scene = Scene::new();
        let (small, large) = (vec![1; 10], vec![2; 3 * PIECE + 1]);
        let note = |place, digest, bytes| scene.note(place, FilesNote { digest, bytes, is_assumed: false });
        let is = |digest: &str, is_there| NewestFiles { digest: digest.into(), is_there, is_others: false };
        assert_eq!(note("one", "a", Some(&small)), is("a", true));
        assert_eq!(note("two", "a", Some(&small)), is("a", true));
        assert_eq!(note("two", "b", None), is("b", false), "it is too large");
        let others = NewestFiles { is_others: true, ..is("b", false) };
        assert_eq!(note("one", "a", Some(&small)), others);
        assert_eq!((scene.of("a"), scene.of("b")), (Some(small.clone()), None));
        assert_eq!(note("two", "c", Some(&large)), is("c", true));
        assert_eq!((scene.of("a"), scene.of("c")), (None, Some(large.clone())));
        assert_eq!(scene.sql("select count(*) from {s}.files_text"), "4");
        assert_eq!(scene.runtime.block_on(newest_files(&scene.door, "two")).unwrap(), Some(is("c", true)));
        assert_eq!(note("two", "none", Some(&[])), is("none", true));
        assert_eq!(scene.of("none"), Some(Vec::new()), "no files are files, too");
    }

    #[test]
    fn while_a_clock_of_an_earlier_version_leads_files_are_noted_without_what_they_say() {
        let scene = Scene::new();
        scene.sql("drop table {s}.files_text");
        let note = FilesNote { digest: "a", bytes: Some(&[1]), is_assumed: false };
        let newest = NewestFiles { digest: "a".into(), is_there: false, is_others: false };
        assert_eq!(scene.note("one", note), newest);
        assert_eq!(scene.of("a"), None);
    }
}
