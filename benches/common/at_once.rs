//! Clients side by side, and what they showed.

use super::{
    as_the_program,
    asking::Http,
    measure::{quantile, wall},
    program::Program,
    setting,
};
use std::{io::Write, time::Duration};
use tokio::task::JoinSet;

/// How often a page of a file can be written and made durable in a second.
fn syncs(folder: &std::path::Path, time: Duration) -> f64 {
    let mut file = std::fs::File::create(folder.join("page")).unwrap();
    let (begin, mut count) = (wall(), 0);
    while wall() - begin < time.as_nanos() as i64 {
        file.write_all(&[7; 4_096]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / ((wall() - begin) as f64 / 1e9)
}

/// What one part showed.
#[derive(Default)]
pub struct Shown {
    pub a_second: f64,
    /// From asking to the answer, in milliseconds.
    pub answers: Vec<f64>,
}

impl Shown {
    pub fn show(&self, what: &str, disk: f64, nothing: Option<&Self>) {
        let [p50, p99] = [0.5, 0.99].map(|part| quantile(&self.answers, part));
        let of = nothing.map_or("-".into(), |nothing| format!("{:.2}", self.a_second / nothing.a_second));
        println!(
            "{what:<42} {:>9.0} {p50:>8.1} {p99:>8.1} {:>9.2} {of:>10}",
            self.a_second,
            self.a_second / disk
        );
    }
}

/// Runs clients side by side until the time is over; each call gives how many were done by it.
pub async fn at_once<C: Send + 'static>(
    clients: Vec<C>,
    time: Duration,
    ask: impl AsyncAsk<C> + Clone + Send + 'static,
) -> Shown {
    let begin = wall();
    let end = begin + time.as_nanos() as i64;
    let mut running = JoinSet::new();
    for mut client in clients {
        let ask = ask.clone();
        running.spawn(async move {
            let (mut done, mut answers) = (0, Vec::new());
            while wall() < end {
                let asked = wall();
                done += ask.ask(&mut client).await;
                answers.push((wall() - asked) as f64 / 1e6);
            }
            (done, answers)
        });
    }
    let mut shown = Shown::default();
    let mut done = 0;
    while let Some(one) = running.join_next().await {
        let (count, answers) = one.unwrap();
        done += count;
        shown.answers.extend(answers);
    }
    shown.a_second = done as f64 / ((wall() - begin) as f64 / 1e9);
    shown
}

/// What a client does again and again.
pub trait AsyncAsk<C> {
    fn ask(&self, client: &mut C) -> impl Future<Output = usize> + Send;
}

/// Everybody may change everything, and by message as often as he likes.
pub const CONFIG: &str = "
[http]
open = true
[commands]
enabled = true
rate = 100000
[[commands.users]]
user = \"guest\"
owner = \"bench\"
role = \"write\"
domains = [\"bench.*\"]
puts_per_second = 1000000
";

/// Runs a benchmark whose parts take `SECONDS` (10) each.
pub fn for_seconds<F: Future<Output = ()>>(measured: impl FnOnce(Duration) -> F) {
    as_the_program();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measured(Duration::from_secs(setting("SECONDS", 10) as u64)));
}

/// What the disk gives, and the head of the table.
pub fn head(folder: &std::path::Path, time: Duration) -> f64 {
    let disk = syncs(folder, time);
    println!("a page written and made durable, one after the other: {disk:.0} a second");
    println!(
        "{:<42} {:>9} {:>8} {:>8} {:>9} {:>10}",
        "", "puts/s", "p50 ms", "p99 ms", "of syncs", "of nothing"
    );
    disk
}

/// So many clients, each on a connection of its own.
pub async fn by_http<A>(clock: &Program, clients: usize, time: Duration, ask: A) -> Shown
where
    A: AsyncAsk<Http> + Clone + Send + 'static,
{
    let mut all = Vec::new();
    for _ in 0..clients {
        all.push(Http::connect(clock.port).await);
    }
    at_once(all, time, ask).await
}
