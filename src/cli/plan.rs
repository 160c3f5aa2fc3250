//! `khronos plan`: what a change of schedules would change, in occurrences.

mod compare;
mod text;

use super::{
    Globals,
    chosen::usable,
    clock_side::{ClockSide, clock_side},
    error::{CliError, finish},
    exit::{DIFFERS, Exit},
    output,
    reach::ClockArgs,
    report,
    source_now::source_now,
    when, zone_data,
};
use crate::{
    clock,
    ops::ScheduleView,
    schedule::{CalendarStore, Definition, Schedule},
    sources::{self, Schedules},
};
use compare::compare;
use ponos::event::Timestamp;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Compares two sets of schedules in occurrences
///
/// With two paths: OLD with NEW. With one: the clock with NEW. With none: the clock with the configured folder. The clock
/// is the running one, else what its store holds.
///
/// What is compared is when schedules are due, not when they are sent: of a schedule whose jitter alone is edited, the key
/// is shown, and nothing moves (`khronos forecast` counts what is sent). A limit without `from` counts on from where the
/// clock has it while the timing stays as it is; else from now.
///
/// "Moved" (~) is an occurrence that is gone and another of the same schedule on the same local day: the first gone one
/// goes with the first new one, and so on. What is left over is removed (−) or added (+). A paused schedule calls for
/// nothing. Too many to compare one by one are counted: then the counts of added and removed are lower bounds.
///
/// Other rules of a time zone (tzdata) differ if they do from 31 days ago on: what they change by themselves is summed up in a
/// line of its own.
///
/// Ends with 0 if nothing differs, 2 if something does (with 2 and nothing on standard output the command line was wrong).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folders of schedule files, or single files
    #[arg(value_name = "[OLD] NEW", num_args = 0..=2)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    clock: ClockArgs,
    /// From when on (exclusive), with an offset: 2026-12-01T09:00:00Z; now if left out
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// How far ahead, at most "3660 days"
    #[arg(long = "for", value_name = "DURATION", default_value = "30 days")]
    length: String,
    /// How many changed occurrences of each schedule are shown
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=1000))]
    show: u16,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// The longest span: what is frequent is counted, not walked.
const LONGEST: i64 = 3660 * 86_400_000;

/// One schedule of one side.
struct Side {
    definition: Definition,
    /// `None`: the clock's, and not understood by this version.
    schedule: Option<Schedule>,
    /// Since when a limit without `from` counts.
    counts_from: Timestamp,
}

/// A set of schedules, and whose it is.
struct Set {
    title: String,
    /// The zone data that it was read with.
    zone_data: String,
    schedules: BTreeMap<String, Side>,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(show(globals, args))
}

async fn show(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let from = when::start(args.from.as_deref(), None, None, &CalendarStore::default())?;
    let through = when::end(from, &args.length, LONGEST)?;
    let (mut old, mut new) = match args.paths.as_slice() {
        [old, new, ..] => {
            let store = zone_data::configured(globals)?;
            (schedules_at(old, &store)?, schedules_at(new, &store)?)
        }
        [new] => {
            let store = zone_data::of(&args.clock.config(globals)?)?;
            (of_clock(globals, &args.clock).await?, schedules_at(new, &store)?)
        }
        [] => {
            let config = args.clock.config(globals)?;
            let old = of_clock(globals, &args.clock).await?;
            let accepted = old.schedules.values().map(|side| &side.definition);
            let source = source_now(&config.schedules, accepted).map_err(|lost| {
                report::to_stderr(&lost.wrong);
                Exit::Configuration
            })?;
            let title = format!("the schedules {source}");
            let store = zone_data::of(&config)?;
            (old, Set::new(title, sources::read_in(&source, &config.calendars, &store), &store)?)
        }
    };
    count_limits(&mut old, &mut new);
    let plan = compare(&old, &new, (from, through), usize::from(args.show));
    output::print(|out| {
        if args.json { output::lines(out, &[&plan]) } else { text::write(out, &plan, &args.length) }
    })?;
    Ok(if plan.differs() { DIFFERS } else { Exit::Done })
}

/// The schedules of a folder or a file.
fn schedules_at(path: &Path, store: &CalendarStore) -> Result<Set, Exit> {
    Set::new(path.display().to_string(), sources::read_path(path, store), store)
}

/// Limits without `from` count as the clock would count them: on, where the timing stays as it is.
fn count_limits(old: &mut Set, new: &mut Set) {
    for (name, side) in &mut new.schedules {
        let Some(before) = old.schedules.get(name) else { continue };
        if let (Some(was), Some(is)) = (&before.schedule, &side.schedule)
            && is.timing.is_counted_since_creation()
            && was.timing.is_due_as(&is.timing.clone().with_rules_of(&was.timing))
        {
            side.counts_from = before.counts_from;
        }
    }
    for side in old.schedules.values_mut().chain(new.schedules.values_mut()) {
        side.schedule = side.schedule.take().map(|schedule| schedule.counting_since(side.counts_from));
    }
}

/// The schedules of the clock.
async fn of_clock(globals: &Globals, clock: &ClockArgs) -> Result<Set, CliError> {
    let ClockSide { title, schedules, calendars, .. } = clock_side(globals, clock).await?;
    // What was created at run time no file has, nor changes.
    let of_files = schedules.into_iter().filter(|view| view.definition.created.is_none());
    let sides = of_files.map(|view| {
        let ScheduleView { name, mut definition, counts_from, .. } = view;
        let schedule = Schedule::build_with(&definition, &calendars).ok();
        if schedule.is_none() {
            output::complain(&format!(
                "note: the clock's schedule '{name}' is not understood by this version; it is compared as if it had no occurrences"
            ));
        }
        // What is read from files names no rules; the schedule has them.
        definition.zones = None;
        (name, Side { definition, schedule, counts_from })
    });
    Ok(Set { title, zone_data: String::new(), schedules: sides.collect() })
}

impl Set {
    fn new(title: String, schedules: Schedules, store: &CalendarStore) -> Result<Self, Exit> {
        let now = clock::now();
        let sides = usable(schedules)?.into_iter().map(|source| {
            let side =
                Side { definition: source.definition, schedule: Some(source.schedule), counts_from: now };
            (side.definition.name.clone(), side)
        });
        Ok(Self { title, zone_data: store.zones().data().to_string(), schedules: sides.collect() })
    }
}
