//! `backfill` and `operations`: what they say of a clock that runs.

use super::record::text;
use std::process::Output;

/// Of a clock whose schedule is due each minute, and where another operation runs already.
pub(super) fn backfills_are_begun_and_operations_watched(run: &impl Fn(&[&str]) -> Output) {
    const THREE: &str =
        "3 events would be sent, due from 1970-01-01T00:01:00.000Z to 1970-01-01T00:03:00.000Z\n";
    const TWO: &str = "2 events would be sent, due from 1970-01-01T00:09:00.000Z to 1970-01-01T00:10:00.000Z\nwhat is due from 1970-01-01T00:11:00.000Z on comes by itself\n";
    for (words, more, code, out, said) in [
        ("backfill one-minute", "01:00Z 03:00Z --dry-run", 0, THREE, ""),
        ("backfill one-minute", "09:00Z 12:00Z --dry-run", 0, TWO, ""),
        ("backfill one-minute", "01:00Z 03:00Z --key b-1", 2, "", "asked again with --key b-1, nothing is"),
        ("backfill one-minute", "01:00Z", 2, "", "--to <INSTANT>"),
        ("operations", "", 0, "there are no operations\n", ""),
        ("operations op-1", "", 2, "", "there is no operation 'op-1'"),
        ("operations op-1 --cancel", "", 2, "", "there is no operation 'op-1'"),
        ("operations --cancel", "", 2, "", "<ID>"),
    ] {
        let mut spans = ["--from=1970-01-01T00:", "--to=1970-01-01T00:"].into_iter();
        let more = more.split_terminator(' ').map(|word| match word.ends_with('Z') {
            true => format!("{}{word}", spans.next().unwrap()),
            false => word.to_owned(),
        });
        let arguments: Vec<String> = words.split(' ').map(str::to_owned).chain(more).collect();
        let done = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((text(&done.stdout).as_str(), done.status.code()), (out, Some(code)), "{done:?}");
        assert!(text(&done.stderr).contains(said), "{arguments:?}: {done:?}");
    }
}
