//! The cases in `tests/conformance/` against the function that the engine uses: [`Schedule::build`], then
//! [`Timing::after`] and its fellows. `cargo test --test conformance -- --nocapture` prints the table.

use khronos::schedule::{Definition, DstDefinition, Fault, Schedule, Timing};
use ponos::event::Timestamp;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write};

#[derive(Deserialize)]
struct Next {
    id: String,
    expr: String,
    tz: String,
    from: Timestamp,
    next: Vec<Timestamp>,
    next_match: Option<Vec<Timestamp>>,
    next_shift: Option<Vec<Timestamp>>,
    job_class: Option<String>,
    topic: String,
}

#[derive(Deserialize)]
struct Reject {
    id: String,
    expr: String,
    kind: String,
    category: String,
}

fn cases<T: for<'de> Deserialize<'de>>(file: &str) -> Vec<T> {
    let path = format!("{}/tests/conformance/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn timing(expression: &str, zone: &str, dst: Option<(&str, &str)>) -> Result<Timing, Vec<Fault>> {
    let definition = Definition {
        name: "case".into(),
        event: Some("conformance.case.passed".into()),
        cron: Some(expression.into()),
        time_zone: Some(zone.into()),
        dst: dst.map(|(gap, fold)| DstDefinition { gap: Some(gap.into()), fold: Some(fold.into()) }),
        ..Definition::default()
    };
    Schedule::build(&definition).map(|schedule| schedule.timing)
}

/// What `timing` says after `from`, read three ways that must agree.
fn occurrences(timing: &Timing, from: Timestamp, most: usize) -> Vec<Timestamp> {
    let mut found = Vec::new();
    let mut at = from;
    while found.len() < most {
        let Some(next) = timing.after(at) else { break };
        assert!(next > at);
        if at != from {
            assert_eq!(timing.before(next), Some(at), "before is the inverse of after");
        }
        found.push(next);
        at = next;
        assert_eq!(timing.count(from, next), found.len() as u64, "count agrees");
    }
    found
}

/// 2038-01-01: the peers know no change of clocks from here on, so that their instants say nothing in zones with DST.
const PEERS_END: Timestamp = Timestamp::from_millis(2_145_916_800_000);

/// Compares with the expected instants; fewer than five mean that the expression or the peers' horizon ends.
fn agrees(timing: &Timing, from: Timestamp, expected: &[Timestamp], dst: bool) -> Result<(), String> {
    let known = |at: &&Timestamp| !dst || **at < PEERS_END;
    let found = occurrences(timing, from, expected.len().max(1));
    let ours: Vec<_> = found.iter().take(expected.len()).filter(known).collect();
    if ours == expected.iter().filter(known).collect::<Vec<_>>() {
        Ok(())
    } else {
        Err(format!("after {from}: expected {expected:?}, found {found:?}"))
    }
}

/// Holds the table in docs/schedules.md to what was found; with UPDATE_DOCS=1 it is written there.
fn documented(name: &str, table: &str) {
    let path = format!("{}/docs/schedules.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- table: {name} -->\n"), "<!-- end of table -->");
    let (before, rest) = text.split_once(&begin).unwrap();
    let (written, after) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(
            written, table,
            "UPDATE_DOCS=1 cargo test --test conformance -- --test-threads=1 writes it"
        );
    }
}

#[test]
fn every_next_instant_is_as_the_peers_agree() {
    let mut table: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in cases::<Next>("cron_next.jsonl") {
        let row = table.entry(case.topic.clone()).or_default();
        row.0 += 1;
        let verdict = match timing(&case.expr, &case.tz, None) {
            Ok(timing) => agrees(&timing, case.from, &case.next, case.job_class.is_some()),
            Err(faults) if case.topic == "big-step" => {
                row.2 += 1;
                assert!(!faults.is_empty());
                Ok(())
            }
            Err(faults) => Err(format!("refused: {faults:?}")),
        };
        let wild = case.job_class.as_deref() == Some("wild");
        let mut verdicts = vec![("next", verdict)];
        for (name, expected, dst) in
            [("match", &case.next_match, ("skip", "both")), ("shift", &case.next_shift, ("shift", "first"))]
        {
            let chosen = timing(&case.expr, &case.tz, Some(dst));
            if wild {
                verdicts.push((name, chosen.err().map(|_| ()).ok_or("dst is accepted on wild".into())));
            } else if case.job_class.is_some() {
                let expected = expected.as_ref().unwrap_or(&case.next);
                let verdict = chosen.map_err(|faults| format!("refused: {faults:?}"));
                verdicts.push((name, verdict.and_then(|timing| agrees(&timing, case.from, expected, true))));
            }
        }
        let failed: Vec<_> =
            verdicts.into_iter().filter_map(|(name, v)| v.err().map(|e| (name, e))).collect();
        for (name, why) in &failed {
            wrong.push(format!("{} {} '{}' {}: {name}: {why}", case.id, case.topic, case.expr, case.tz));
        }
        row.1 += usize::from(failed.is_empty());
    }
    let sum = |each: fn(&(usize, usize, usize)) -> usize| table.values().map(each).sum::<usize>();
    let all = ("all".to_owned(), (sum(|r| r.0), sum(|r| r.1), sum(|r| r.2)));
    let mut shown = String::from("| topic | cases | right | refused |\n| --- | --- | --- | --- |\n");
    for (topic, (cases, right, refused)) in
        table.iter().map(|(topic, row)| (topic, *row)).chain([(&all.0, all.1)])
    {
        writeln!(shown, "| {topic} | {cases} | {right} | {refused} |").unwrap();
    }
    println!("{shown}");
    documented("next", &shown);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(table.len() > 20, "the file of cases is there");
}

#[test]
fn what_is_no_expression_is_refused_where_it_goes_wrong() {
    let mut table: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in cases::<Reject>("cron_reject.jsonl") {
        let row = table.entry(format!("{}: {}", case.kind, case.category)).or_default();
        row.0 += 1;
        let outcome = std::panic::catch_unwind(|| timing(&case.expr, "UTC", None));
        match outcome {
            Ok(Err(faults)) => {
                row.1 += 1;
                let [fault] = &faults[..] else { panic!("{}: {faults:?}", case.id) };
                assert_eq!(fault.key, "cron");
                assert!(!fault.what.is_empty() && fault.what.len() < 300);
                if let Some(at) = &fault.at {
                    assert!(case.expr.get(at.clone()).is_some(), "{}: {fault:?}", case.id);
                }
            }
            Ok(Ok(_)) => wrong.push(format!("{} '{}' is accepted", case.id, case.expr)),
            Err(_) => wrong.push(format!("{} '{}' panics", case.id, case.expr)),
        }
    }
    let mut shown = String::from("| kind: what | cases | refused |\n| --- | --- | --- |\n");
    for (kind, (cases, refused)) in &table {
        writeln!(shown, "| {kind} | {cases} | {refused} |").unwrap();
    }
    println!("{shown}");
    documented("refused", &shown);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(table.len() > 10, "the file of cases is there");
}
