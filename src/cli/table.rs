//! Rows in columns. Into a pipe each column is as wide as its widest cell. On a terminal wide cells go on below, within
//! their column, broken where words end: an instant or an id stays in one piece. Where a terminal is too narrow even for
//! that, each row stands for itself, with the names of its columns.

use super::terminal;
use ponos::terminal::line;
use std::io::{self, Write};

/// Lines are made no shorter than this.
const NARROW: usize = 10;
/// Behind these a word may be broken.
const MARKS: [char; 2] = ['.', '/'];
/// Between two columns.
const GAP: usize = 2;

/// Writes rows; the first one is the header.
pub(super) fn table(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    write(out, rows, true, terminal::columns())
}

/// Writes more rows of a table whose header was shown already; it is the first one all the same.
pub(super) fn more(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    write(out, rows, false, terminal::columns())
}

/// `room`: how many columns of text there are; as many as are needed where nobody knows.
fn write(out: &mut dyn Write, rows: &[Vec<String>], header: bool, room: Option<usize>) -> io::Result<()> {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| line(cell).into_owned()).collect()).collect();
    let Some((names, cells)) = rows.split_first() else { return Ok(()) };
    let Some(widths) = fitting(&rows, room) else { return alone(out, names, cells, room.unwrap_or(NARROW)) };
    for row in rows.iter().skip(usize::from(!header)) {
        let cells: Vec<Vec<String>> =
            row.iter().zip(&widths).map(|(cell, width)| folded(cell, *width)).collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(1).max(1) {
            let part = |cell: &Vec<String>| cell.get(line).cloned().unwrap_or_default();
            let parts = cells.iter().zip(&widths).map(|(cell, &width)| format!("{:<width$}", part(cell)));
            writeln!(out, "{}", parts.collect::<Vec<_>>().join("  ").trim_end())?;
        }
    }
    Ok(())
}

/// The widths of the columns; `None` if they can't be made narrow enough without breaking what is one piece.
fn fitting(rows: &[Vec<String>], room: Option<usize>) -> Option<Vec<usize>> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let most = |column: usize, size: fn(&str) -> usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| size(cell)).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns).map(|column| most(column, length)).collect();
    let least: Vec<usize> = (0..columns).map(|column| most(column, piece)).collect();
    let gaps = GAP * columns.saturating_sub(1);
    while room.is_some_and(|room| widths.iter().sum::<usize>() + gaps > room) {
        let shrinkable = widths.iter_mut().zip(&least).filter(|(width, least)| **width > **least);
        let (widest, _) = shrinkable.max_by_key(|(width, _)| **width)?;
        *widest -= 1;
    }
    Some(widths)
}

/// The longest piece of a cell that stays in one.
fn piece(cell: &str) -> usize {
    cell.split(' ').flat_map(|word| word.split_inclusive(MARKS)).map(length).max().unwrap_or(0)
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// The lines of a cell in a column: broken at spaces, else behind the marks between words, else anywhere.
fn folded(cell: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest: Vec<char> = cell.chars().collect();
    while rest.len() > width {
        let space = rest.iter().take(width + 1).rposition(|c| *c == ' ').filter(|at| *at > 0);
        let mark = || rest.iter().take(width).rposition(|c| MARKS.contains(c)).map(|at| at + 1);
        let next = rest.split_off(space.or_else(mark).unwrap_or(width));
        lines.push(rest.into_iter().collect());
        rest = next.into_iter().skip(usize::from(space.is_some())).collect();
    }
    lines.push(rest.into_iter().collect());
    lines
}

/// Each row for itself: its first cell, then the others below it, each behind its column's name.
fn alone(out: &mut dyn Write, names: &[String], rows: &[Vec<String>], room: usize) -> io::Result<()> {
    let room = room.max(NARROW).saturating_sub(GAP);
    let indented = |out: &mut dyn Write, line: &str| {
        folded(line, room).into_iter().try_for_each(|line| writeln!(out, "  {line}"))
    };
    for row in rows {
        let mut parts = row.iter().zip(names);
        let Some((first, _)) = parts.next() else { continue };
        for line in folded(first, room + GAP) {
            writeln!(out, "{line}")?;
        }
        let mut line = String::new();
        for (cell, name) in parts.filter(|(cell, _)| !cell.is_empty()) {
            let part = format!("{name} {cell}");
            if !line.is_empty() && length(&line) + GAP + length(&part) > room {
                indented(out, &line)?;
                line.clear();
            }
            let gap = if line.is_empty() { "" } else { "  " };
            line = format!("{line}{gap}{part}");
        }
        indented(out, &line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[&[&str]]) -> Vec<Vec<String>> {
        text.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    fn shown(rows: &[Vec<String>], room: Option<usize>) -> String {
        let mut out = Vec::new();
        write(&mut out, rows, true, room).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn list() -> Vec<Vec<String>> {
        rows(&[
            &["NAME", "EVENT", "STATE"],
            &["one-day", "time.one-day.passed", ""],
            &["report", "reports.every-morning.requested", "retrying since 2026-12-01"],
        ])
    }

    #[test]
    fn where_nobody_knows_the_width_columns_are_as_wide_as_their_cells() {
        let expected = "\
NAME     EVENT                            STATE
one-day  time.one-day.passed
report   reports.every-morning.requested  retrying since 2026-12-01
";
        assert_eq!(shown(&list(), None), expected);
        assert_eq!(shown(&list(), Some(67)), expected);
        let mut out = Vec::new();
        write(&mut out, &list(), false, None).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected.split_once('\n').unwrap().1);
        assert_eq!(shown(&[], None), "");
    }

    #[test]
    fn on_a_narrow_terminal_wide_cells_go_on_below() {
        let expected = "\
NAME     EVENT              STATE
one-day  time.one-day.
         passed
report   reports.           retrying since
         every-morning.     2026-12-01
         requested
";
        assert_eq!(shown(&list(), Some(45)), expected);
        for room in 12..80 {
            let shown = shown(&list(), Some(room));
            assert!(shown.lines().all(|line| length(line) <= room), "{room}:\n{shown}");
            if !shown.starts_with("NAME") {
                assert!(room < 35, "{room}:\n{shown}");
                continue;
            }
            let whole = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
            let cells: usize = list().iter().flatten().map(|cell| whole(cell)).sum();
            assert_eq!(whole(&shown), cells, "nothing is left out at {room}:\n{shown}");
        }
    }

    #[test]
    fn where_columns_can_not_be_narrow_enough_each_row_stands_for_itself() {
        let names = ["SCHEDULE", "EXPECTED", "CONFIRMED", "COALESCED", "SKIPPED"];
        let rows =
            rows(&[&names, &["one-day", "3", "2", "0", "1 paused"], &["one-hour", "24", "24", "0", "0"]]);
        let expected = "\
one-day
  EXPECTED 3  CONFIRMED 2
  COALESCED 0
  SKIPPED 1 paused
one-hour
  EXPECTED 24  CONFIRMED 24
  COALESCED 0  SKIPPED 0
";
        assert_eq!(shown(&rows, Some(28)), expected);
    }
}
