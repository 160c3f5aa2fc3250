//! Bounds of the HTTP interface.

use std::time::Duration;

/// Bounds of the HTTP interface.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections beyond these, which are asked for health alone.
    pub reserve: usize,
    /// Connections to the control socket at a time; more wait in the system's queue.
    pub operators: usize,
    /// Feeds at a time; more are told to come back.
    pub feeds: usize,
    /// Answers at a time that may be long, or are dear to make; more are told to come back.
    pub large: usize,
    /// Large bodies that are read at a time; more are told to come back.
    pub bodies: usize,
    /// How long a long answer has its place for sure; then it is cut off when all places are taken and one more is wanted.
    pub hold: Duration,
    /// Requests at a time whose definition is worked on; more wait for half of `answer`.
    pub puts: usize,
    /// The same of requests with many definitions.
    pub batches: usize,
    /// Until the head of a request must have come: how long a connection may be idle.
    pub head: Duration,
    /// How old a connection may be when a request begins. What was begun has as long as an audit to end; a feed is read
    /// as long as its reader takes it.
    pub age: Duration,
    /// Until an answer must be ready (feeds and audits excepted), and a large body must have come.
    pub answer: Duration,
    /// Until an audit must be done.
    pub audit: Duration,
    /// How long a peer may refuse to take data.
    pub stall: Duration,
    /// Silence of this long on a feed is broken by a comment.
    pub keep_alive: Duration,
    /// How long requests that have begun may go on once the clock stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            reserve: 32,
            operators: 16,
            feeds: 64,
            large: 8,
            bodies: 16,
            hold: Duration::from_secs(30),
            puts: 32,
            batches: 4,
            head: Duration::from_secs(15),
            age: Duration::from_secs(600),
            answer: Duration::from_secs(10),
            audit: Duration::from_secs(300),
            stall: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
            farewell: Duration::from_secs(5),
        }
    }
}

/// Open files that the rest of the clock needs, with some to spare: its stores, which must never want for one, the broker,
/// its event loops, and what is read at a reload.
const REST: usize = 48;

impl Limits {
    /// The default, without a bound of time that a slow machine reaches: for tests that are not about these.
    #[cfg(test)]
    pub(super) fn patient() -> Self {
        let long = Duration::from_secs(600);
        Self { head: long, answer: long, ..Self::default() }
    }

    /// The default, with fewer places where the system lets the process have few open files.
    pub fn for_this_process() -> Self {
        let files = open_files();
        let limits = Self::default().within(files);
        let usual = Self::default().connections;
        if let Some(files) = files
            && limits.connections < usual
        {
            tracing::warn!(
                connections = limits.connections,
                feeds = limits.feeds,
                "at most {files} files may be open (ulimit -n, LimitNOFILE=): HTTP takes fewer connections than {usual}, so that the store never runs out of files"
            );
        }
        limits
    }

    /// The same, with fewer places if the limit of open files demands it.
    fn within(self, files: Option<usize>) -> Self {
        let Some(files) = files else { return self };
        let room = files.saturating_sub(REST);
        // Of the room, in eighths: the reserve one, operators one, connections six. One of each there always is.
        let part = |eighths: usize| (room * eighths / 8).max(1);
        let connections = self.connections.min(part(6));
        Self {
            connections,
            reserve: self.reserve.min(part(1)),
            operators: self.operators.min(part(1)),
            feeds: self.feeds.min((connections / 2).max(1)),
            ..self
        }
    }
}

/// How many files this process may have open; `None` where there is no limit, or it is not known.
fn open_files() -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        limit.current.and_then(|most| usize::try_from(most).ok())
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_of_open_files_leaves_room_for_the_rest_of_the_clock() {
        for files in [8, 16, 32, 64, 100, 256, 1024, 1 << 20] {
            let Limits { connections, reserve, operators, feeds, .. } = Limits::default().within(Some(files));
            let all = connections + reserve + operators;
            assert!(connections > 0 && reserve > 0 && operators > 0 && feeds > 0, "{files}");
            assert!(feeds <= connections && (all + REST <= files || all == 3), "{files}: {all}");
        }
        let usual = Limits::default();
        for plenty in [None, Some(1024)] {
            let limits = usual.within(plenty);
            assert_eq!((limits.connections, limits.feeds), (usual.connections, usual.feeds));
        }
    }
}
