//! What the store of delayed events asks of an engine, of three of them: redb, fjall and SQLite. `COUNT` (1,000,000) events of 200
//! bytes, due at random within a year, are put in batches of 1,000, each durable before the next; some singly; the process is
//! killed; the store is opened again and what is due first is read; then a part is taken in the order of time, a batch of 1,000 in
//! a transaction that is durable with the hundredth. Each part is a process of its own, so that memory is its own.
//!
//! `cargo run --release --manifest-path benches/stores/Cargo.toml -- FOLDER [redb|fjall|sqlite]...`
mod engines;

use engines::{Engine, Event};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const BATCH: usize = 1_000;
const DATA: usize = 200;
/// Bytes of a row: name, due time and data.
const ROW: usize = 16 + 8 + DATA;
/// Batches that are taken between two that are durable.
const BETWEEN: usize = 100;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["part", part, engine, folder] => this_part(part, engine, Path::new(folder)),
        [folder, ref engines @ ..] => {
            let engines = if engines.is_empty() { &["redb", "fjall", "sqlite"] } else { engines };
            println!(
                "| engine | puts a second | a batch p50, p99 ms | one by one | bytes each on disk | opened, first due ms | taken a second: first, last | resident: put, opened, taken MiB |"
            );
            engines.iter().try_for_each(|engine| compare(engine, &Path::new(folder).join(engine)))
        }
        [] => Err("usage: stores FOLDER [redb|fjall|sqlite]...".into()),
    }
}

fn count() -> usize {
    std::env::var("COUNT").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

fn compare(engine: &str, folder: &Path) -> Outcome<()> {
    std::fs::create_dir_all(folder)?;
    let put = part("put", engine, folder)?;
    let disk = size(folder)?;
    let opened = part("open", engine, folder)?;
    let taken = part("take", engine, folder)?;
    println!(
        "| {engine} | {} | {}, {} | {} | {} | {}, {} | {}, {} | {}, {}, {} |",
        put[0],
        put[1],
        put[2],
        put[3],
        disk / count() as u64,
        opened[0],
        opened[1],
        taken[0],
        taken[1],
        put[4],
        opened[2],
        taken[2]
    );
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// Runs a part in a process that is killed as soon as it has said its figures.
fn part(part: &str, engine: &str, folder: &Path) -> Outcome<Vec<String>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["part", part, engine])
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    child.kill()?;
    child.wait()?;
    if line.is_empty() {
        return Err(format!("{engine}, {part}: ended without its figures").into());
    }
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

fn this_part(part: &str, engine: &str, folder: &Path) -> Outcome<()> {
    let begin = Instant::now();
    let mut store = engines::open(engine, folder)?;
    match part {
        "put" => put(store.as_mut())?,
        "open" => {
            let opened = begin.elapsed();
            let due = store.due(1)?;
            assert_eq!(due.len(), 1, "what was put is there");
            say(&[millis(opened), millis(begin.elapsed()), resident()?])?;
        }
        "take" => take(store.as_mut())?,
        _ => return Err(format!("no part {part}").into()),
    }
    loop {
        std::thread::park(); // until the kill
    }
}

fn put(store: &mut dyn Engine) -> Outcome<()> {
    let mut number = 0;
    let mut batch = |size: usize| {
        (0..size)
            .map(|_| {
                number += 1;
                event(number)
            })
            .collect::<Vec<_>>()
    };
    let mut took = Vec::new();
    let begin = Instant::now();
    for _ in 0..count() / BATCH {
        let events = batch(BATCH);
        let at = Instant::now();
        store.put(&events)?;
        took.push(at.elapsed());
    }
    let all = begin.elapsed();
    let (mut singly, begin) = (0, Instant::now());
    while begin.elapsed() < Duration::from_secs(3) {
        store.put(&batch(1))?;
        singly += 1;
    }
    took.sort();
    say(&[
        (count() as f64 / all.as_secs_f64()).round().to_string(),
        millis(took[took.len() / 2]),
        millis(took[took.len() * 99 / 100]),
        (f64::from(singly) / begin.elapsed().as_secs_f64()).round().to_string(),
        resident()?,
    ])
}

/// A fifth of all; the speed over the first and the last fifth of that.
fn take(store: &mut dyn Engine) -> Outcome<()> {
    let batches = (count() / BATCH / 5).max(5);
    let mut marks = vec![Instant::now()];
    for number in 1..=batches {
        let due = store.due(BATCH)?;
        assert_eq!(due.len(), BATCH, "what was put is there");
        assert!(due.is_sorted_by_key(|event| event.due), "in the order of time");
        store.take(&due, number % BETWEEN == 0)?;
        if number % (batches / 5) == 0 {
            marks.push(Instant::now());
        }
    }
    let speed = |from: usize| {
        ((batches / 5 * BATCH) as f64 / (marks[from + 1] - marks[from]).as_secs_f64()).round().to_string()
    };
    say(&[speed(0), speed(4), resident()?])
}

fn event(number: u64) -> Event {
    let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut name = [0; 16];
    name[..8].copy_from_slice(&scattered.to_be_bytes());
    name[8..].copy_from_slice(&number.to_be_bytes());
    Event { name, due: scattered.rotate_left(29) % 31_000_000_000, data: vec![b'x'; DATA] }
}

fn say(figures: &[String]) -> Outcome<()> {
    println!("{}", figures.join(" "));
    Ok(std::io::stdout().flush()?)
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// The most memory that this process has had, in MiB.
fn resident() -> Outcome<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("no VmHWM")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok((kib / 1024).to_string())
}

/// Bytes on the disk beyond the rows.
fn size(folder: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let mut all = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let (path, metadata) = {
                let entry = entry?;
                (entry.path(), entry.metadata()?)
            };
            if metadata.is_dir() { folders.push(path) } else { all += metadata.blocks() * 512 }
        }
    }
    Ok(all.saturating_sub((count() * ROW) as u64))
}
