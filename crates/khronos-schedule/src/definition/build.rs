//! Definition → schedule: all faults at once.

use super::{
    Definition, annotation_keys,
    from_definition::{self, Occasion},
    spelling::{self, Reading},
};
use crate::{
    calendar_store::CalendarStore,
    fault::{Fault, FaultCode, Flaw, choice, floor, shown},
    schedule::{CatchUp, Past, Policy, ResendPolicy, Schedule, Unrouted},
    timing::Timing,
};
use ponos_event::{
    EventName,
    duration::{Amount, WrittenDuration},
};

/// The largest payload, serialised as JSON, in bytes.
pub(crate) const MAX_DATA: usize = 64 * 1024;
/// The longest name, in bytes.
const MAX_NAME: usize = 128;
/// The most resends, and the longest time for them (milliseconds): as in the configuration.
const MAX_RESENDS: u8 = 100;
const MAX_RESEND_TIME: i64 = 24 * 60 * 60 * 1_000;

impl Schedule {
    /// Builds a schedule that names no calendars; all faults at once.
    ///
    /// # Errors
    /// Every [`Fault`] of the definition.
    pub fn build(definition: &Definition) -> Result<Self, Vec<Fault>> {
        Self::build_with(definition, &CalendarStore::default())
    }

    /// Builds a schedule, the days of whose calendars are in this store; all faults at once.
    ///
    /// # Errors
    /// Every [`Fault`] of the definition.
    pub fn build_with(definition: &Definition, calendars: &CalendarStore) -> Result<Self, Vec<Fault>> {
        Self::build_on(Occasion::New, definition, calendars)
    }

    /// The same on some occasion.
    pub(crate) fn build_on(
        occasion: Occasion,
        definition: &Definition,
        calendars: &CalendarStore,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        check_name(&definition.name, &mut faults);
        let timing = from_definition::timing(definition, calendars, occasion, &mut faults);
        let event = event(definition, &mut faults);
        let catch_up = catch_up(definition, &mut faults);
        let expires = length(definition.expires.as_deref(), "expires", &mut faults);
        let unrouted = match definition.unrouted.as_deref() {
            None | Some("ignore") => Unrouted::Ignore,
            Some("park") => Unrouted::Park,
            Some(other) => {
                faults.push(choice(other, &["ignore", "park"]).of("unrouted"));
                Unrouted::Ignore
            }
        };
        if let (Some(expires), Some(timing)) = (expires, &timing)
            && expires < timing.jitter()
        {
            let what =
                format!("{expires} ms after the due time is too soon for a jitter of {} ms", timing.jitter());
            faults.push(
                Flaw::whole(what)
                    .code(FaultCode::Conflict)
                    .help("it would have expired before it is sent")
                    .of("expires"),
            );
        }
        let resends = resends(definition, &mut faults);
        let past = past(definition, &mut faults);
        annotation_keys::check(definition, &mut faults);
        if let Some(data) = &definition.data {
            let bytes = data.to_string().len();
            if bytes > MAX_DATA {
                let what = format!("{bytes} bytes as JSON; {MAX_DATA} are allowed");
                let flaw = Flaw::whole(what).code(FaultCode::OutOfRange);
                faults.push(flaw.expected(format!("at most {MAX_DATA} bytes as JSON")).of("data"));
            }
        }
        match (timing, event) {
            (Some(timing), Some(event)) if faults.is_empty() => Ok(Self {
                name: definition.name.as_str().into(),
                event,
                timing,
                catch_up,
                paused: definition.paused.unwrap_or(false),
                expires,
                unrouted,
                resends,
                past,
                data: definition.data.clone(),
                creation: definition.created.as_ref().map_or(0, |created| created.number),
            }),
            _ => Err(faults),
        }
    }
}

impl Timing {
    /// A cron expression in a zone (an IANA name; UTC if `None`), unbounded, with the usual choices about DST.
    ///
    /// # Errors
    /// The first [`Fault`], under `cron` or `time_zone`.
    pub fn from_cron(expression: &str, zone: Option<&str>) -> Result<Self, Fault> {
        Self::from_cron_with(expression, zone, &CalendarStore::default())
    }

    /// The same with the zone data of this store.
    ///
    /// # Errors
    /// As [`Timing::from_cron`].
    pub fn from_cron_with(
        expression: &str,
        zone: Option<&str>,
        store: &CalendarStore,
    ) -> Result<Self, Fault> {
        alone(store, |definition| {
            definition.cron = Some(expression.to_owned());
            definition.time_zone = zone.map(str::to_owned);
        })
    }

    /// A duration such as `4h` or `1 day`, in a zone (an IANA name; UTC if `None`), unbounded.
    ///
    /// # Errors
    /// The first [`Fault`], under `every` or `time_zone`.
    pub fn from_every(duration: &str, zone: Option<&str>) -> Result<Self, Fault> {
        Self::from_every_with(duration, zone, &CalendarStore::default())
    }

    /// The same with the zone data of this store.
    ///
    /// # Errors
    /// As [`Timing::from_every`].
    pub fn from_every_with(duration: &str, zone: Option<&str>, store: &CalendarStore) -> Result<Self, Fault> {
        alone(store, |definition| {
            definition.every = Some(duration.to_owned());
            definition.time_zone = zone.map(str::to_owned);
        })
    }
}

/// A timing on its own, the same way as a schedule's.
fn alone(store: &CalendarStore, fill: impl FnOnce(&mut Definition)) -> Result<Timing, Fault> {
    let mut definition = Definition::default();
    fill(&mut definition);
    let mut faults = Vec::new();
    let timing = from_definition::timing(&definition, store, Occasion::New, &mut faults);
    match (timing, faults.into_iter().next()) {
        (Some(timing), None) => Ok(timing),
        (_, Some(fault)) => Err(fault),
        (None, None) => Err(Flaw::whole("a timing is needed").code(FaultCode::MissingKey).of("every")),
    }
}

/// Whether a text can name a schedule, a clock or a calendar: `[a-z0-9][a-z0-9._-]{0,127}`.
pub fn is_name(text: &str) -> bool {
    let mut faults = Vec::new();
    check_name(text, &mut faults);
    faults.is_empty()
}

fn check_name(name: &str, faults: &mut Vec<Fault>) {
    let rule = "names are a-z, 0-9 and inner '.', '_', '-', beginning with a letter or digit";
    if name.is_empty() {
        faults.push(Flaw::whole(format!("a name is missing; {rule}")).code(FaultCode::MissingKey).of("name"));
    } else if name.len() > MAX_NAME {
        let what = format!("the name has {} bytes; {MAX_NAME} are allowed", name.len());
        let flaw = Flaw::whole(what).code(FaultCode::OutOfRange);
        faults.push(flaw.expected(format!("1 to {MAX_NAME} bytes")).of("name"));
    } else {
        let allowed = |at: usize, c: char| match c {
            'a'..='z' | '0'..='9' => true,
            '.' | '_' | '-' => at > 0,
            _ => false,
        };
        if let Some((at, odd)) = name.char_indices().find(|&(at, c)| !allowed(at, c)) {
            let what = format!("'{}' is not allowed here in a name; {rule}", shown(&odd.to_string()));
            let flaw = Flaw::part(at..at + odd.len_utf8(), what);
            let folded = name.to_ascii_lowercase().replace(' ', "-");
            let usable = folded.char_indices().all(|(at, c)| allowed(at, c));
            faults.push(if usable { flaw.help(format!("write '{folded}'")) } else { flaw }.of("name"));
        }
    }
}

fn event(definition: &Definition, faults: &mut Vec<Fault>) -> Option<EventName> {
    // A fault of `every` itself is reported with the timing.
    let every = definition.every.as_deref().and_then(|every| WrittenDuration::parse(every).ok());
    let Some(text) = definition.event.as_deref() else {
        return match (every, &definition.every) {
            (Some(every), _) => spelling::event_name(&every).parse().ok(),
            (None, Some(_)) => None,
            (None, None) => {
                let what = "an event is needed; it may be left out only with 'every'";
                let flaw = Flaw::whole(what).code(FaultCode::MissingKey);
                faults.push(flaw.help("as in event = \"office.day.opened\"").of("event"));
                None
            }
        };
    };
    let name = match text.parse::<EventName>() {
        Ok(name) => name,
        Err(invalid) => {
            // A name that is too long is to blame from its 256th byte on, which may be in the middle of a character.
            let at = floor(text, invalid.at);
            let rest = text.get(at..).unwrap_or_default();
            let width = rest.chars().next().map_or(0, char::len_utf8);
            faults.push(Flaw::part(at..at + width, invalid.reason).of("event"));
            return None;
        }
    };
    if let Some(every) = every {
        contradiction(text, &every, faults);
    }
    Some(name)
}

/// `time.<duration>.passed` must say what `every` says.
fn contradiction(event: &str, every: &WrittenDuration, faults: &mut Vec<Fault>) {
    let what = match spelling::read(event) {
        Reading::Other => return,
        Reading::Duration(named) if named.amount().is_some() && named.amount() == every.amount() => return,
        Reading::Duration(named) => {
            let mut what = format!("'{event}' says {named}, but every = {every}");
            if let (Some(Amount::Elapsed(_)), Some(Amount::Days(_))) = (every.amount(), named.amount()) {
                what.push_str("; hours are elapsed time, days are the calendar's");
            }
            what
        }
        Reading::Misspelt => format!("'{event}' looks like a duration, but is not one"),
    };
    let flaw = Flaw::whole(what).code(FaultCode::Conflict);
    faults.push(flaw.help(format!("write '{}'", spelling::event_name(every))).of("event"));
}

fn catch_up(definition: &Definition, faults: &mut Vec<Fault>) -> CatchUp {
    let mut catch_up = CatchUp::default();
    let Some(written) = &definition.catch_up else { return catch_up };
    match written.policy.as_deref() {
        None | Some("latest") => {}
        Some("all") => catch_up.policy = Policy::All,
        Some("none") => catch_up.policy = Policy::None,
        Some(other) => faults.push(choice(other, &["latest", "all", "none"]).of("catch_up.policy")),
    }
    if let Some(grace) = written.grace.as_deref() {
        // Nothing else may be zero; no grace at all is a choice.
        if matches!(grace.trim_ascii(), "0" | "0s" | "0ms" | "PT0S") {
            catch_up.grace = 0;
        } else if let Some(millis) = length(Some(grace), "catch_up.grace", faults) {
            catch_up.grace = millis;
        }
    }
    catch_up.within = length(written.within.as_deref(), "catch_up.within", faults);
    match written.most {
        None => {}
        Some(0) => {
            let flaw = Flaw::whole("0; at least 1 is sent singly").code(FaultCode::OutOfRange);
            faults.push(flaw.expected("1 or more").of("catch_up.most"));
        }
        Some(most) => catch_up.most = most,
    }
    catch_up
}

fn resends(definition: &Definition, faults: &mut Vec<Fault>) -> ResendPolicy {
    let Some(written) = &definition.resends else { return ResendPolicy::default() };
    let most = written.most.and_then(|most| {
        let allowed = u8::try_from(most).ok().filter(|most| *most <= MAX_RESENDS);
        if allowed.is_none() {
            let what = format!("{most} resends; at most {MAX_RESENDS} are made");
            let flaw = Flaw::whole(what).code(FaultCode::OutOfRange);
            faults.push(flaw.expected(format!("0 to {MAX_RESENDS}")).of("resends.most"));
        }
        allowed
    });
    let within = length(written.within.as_deref(), "resends.within", faults);
    if within.is_some_and(|within| within > MAX_RESEND_TIME) {
        let what = "more than a day; what is refused so long waits for a person";
        let flaw = Flaw::whole(what).code(FaultCode::OutOfRange).expected("a day or less, as in \"10m\"");
        faults.push(flaw.help("khronos parked release sends it again").of("resends.within"));
    }
    ResendPolicy { most, within }
}

fn past(definition: &Definition, faults: &mut Vec<Fault>) -> Past {
    let past = match definition.past.as_deref() {
        None => return Past::Refuse,
        Some("send") => Past::Send,
        Some("refuse") => Past::Refuse,
        Some(other) => {
            faults.push(choice(other, &["send", "refuse"]).of("past"));
            Past::Refuse
        }
    };
    if definition.at.is_none() {
        let what = "'past' is about a single due time: it is allowed only with 'at'";
        let flaw = Flaw::whole(what).code(FaultCode::Conflict);
        faults.push(flaw.help("catch_up says what happens to missed occurrences").of("past"));
    }
    past
}

/// A length of time in milliseconds.
fn length(text: Option<&str>, key: &'static str, faults: &mut Vec<Fault>) -> Option<i64> {
    match WrittenDuration::parse(text?).and_then(|duration| duration.millis()) {
        Ok(millis) => Some(millis),
        Err(error) => {
            faults.push(Flaw::from(error).of(key));
            None
        }
    }
}
