//! What the texts of the project show as a schedule's key can be written so: helps and documentation of the program,
//! the pages, the README and the configuration. Nobody is told a form that is then refused.

use khronos::schedule::{Definition, Schedule, parse_length};
use std::{fs, path::Path};

/// Shown as what is wrong.
const WRONG: [&str; 2] = ["0 25 * * MON-FRI", "15 10 ? * 6L 2026-2028"];

/// The texts: files of these folders and these files, without tests.
fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open: Vec<_> =
        ["src", "crates/khronos-schedule/src", "docs", "schedules", "README.md", "config.toml"]
            .map(|name| root.join(name))
            .into();
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let ours =
            ["rs", "md", "toml"].iter().any(|ending| path.extension().is_some_and(|own| own == *ending));
        if ours && !name.contains("tests") {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default().replace("\\\"", "\"");
            found.push((name, text));
        }
    }
    found
}

/// The values of a key in the text: `cron = "…"`, without those that are put together when it is shown.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let written = format!("{key} = \"");
    let values = text.match_indices(&written).filter_map(|(at, _)| {
        let before = text[..at].chars().next_back();
        let alone = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.' && c != '-');
        let (value, _) = text[at + written.len()..].split_once('"')?;
        (alone && !value.contains(['{', '…', '\n']) && !value.trim_matches('.').is_empty()).then_some(value)
    });
    values.collect()
}

/// Texts in quotes or backquotes that are cron expressions by their look: five to seven fields of its letters.
fn by_their_look(text: &str) -> Vec<&str> {
    let is_field = |field: &str| {
        let letters = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "*?,-/#".contains(c);
        !field.is_empty() && field.chars().all(letters)
    };
    let of_mark = |mark: char| {
        text.lines().flat_map(move |line| line.split(mark).skip(1).step_by(2)).filter(move |part| {
            let fields = part.split(' ').count();
            (5..=7).contains(&fields) && part.split(' ').all(is_field) && part.contains(['*', '?'])
        })
    };
    of_mark('\'').chain(of_mark('`')).collect()
}

fn refused(definition: Definition) -> Option<String> {
    let definition = Definition { name: "a".into(), event: Some("a.b.passed".into()), ..definition };
    Schedule::build(&definition).err().map(|faults| format!("{faults:?}"))
}

#[test]
fn every_expression_that_a_text_shows_can_be_read() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (file, text) in texts() {
        let shown = values(&text, "cron").into_iter().chain(by_their_look(&text));
        for cron in shown.filter(|cron| !WRONG.contains(cron)) {
            let fault = refused(Definition { cron: Some(cron.into()), ..Definition::default() });
            wrong.extend(fault.map(|fault| format!("{file}: cron = \"{cron}\"") + &fault));
            seen += 1;
        }
        for every in values(&text, "every") {
            let fault = refused(Definition { every: Some(every.into()), ..Definition::default() });
            wrong.extend(fault.map(|fault| format!("{file}: every = \"{every}\"") + &fault));
            seen += 1;
        }
        for at in values(&text, "at") {
            let local = !at.ends_with('Z') && !at.get(10..).unwrap_or_default().contains(['+', '-']);
            let time_zone = local.then(|| "Europe/Paris".to_owned());
            let fault = refused(Definition { at: Some(at.into()), time_zone, ..Definition::default() });
            wrong.extend(fault.map(|fault| format!("{file}: at = \"{at}\"") + &fault));
            seen += 1;
        }
        for zone in values(&text, "time_zone") {
            let time_zone = Some(zone.to_owned());
            let fault =
                refused(Definition { every: Some("1 day".into()), time_zone, ..Definition::default() });
            wrong.extend(fault.map(|fault| format!("{file}: time_zone = \"{zone}\"") + &fault));
            seen += 1;
        }
        for key in ["jitter", "expires", "grace", "within"] {
            for length in values(&text, key) {
                wrong.extend(
                    parse_length(length, i64::MAX, key)
                        .err()
                        .map(|fault| format!("{file}: {key} = \"{length}\"") + &fault.what),
                );
                seen += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 100, "{seen}");
}

#[test]
fn a_text_that_shows_what_is_refused_would_be_seen() {
    let text = "write cron = \"0 0 * * 7-3\", or '0 0 * * 7-3' with xcron = \"1\" and every = \"{every}\"";
    assert_eq!((values(text, "cron"), by_their_look(text)), (vec!["0 0 * * 7-3"], vec!["0 0 * * 7-3"]));
    assert!(values(text, "every").is_empty());
}
