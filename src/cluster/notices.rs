//! What people are told of the lease.

use super::Seen;
use crate::engine::lease::{LeaseNotice, Why};
use tracing::{error, info, warn};

/// Into the log, and what stands for a while into what a follower shows.
pub(super) fn tell(notice: LeaseNotice, seen: &mut Seen) {
    match notice {
        LeaseNotice::Leads { term } => {
            (seen.hindered, seen.leader) = (None, None);
            info!(term, "this clock leads");
        }
        LeaseNotice::Promoted { from, to } => error!(
            from,
            to,
            "the database was promoted since the last leader began: unless its standby was a synchronous one, commits may be lost, and with them what was answered and what was sent; compare with khronos audit"
        ),
        LeaseNotice::Lapsed => {
            warn!(
                "the database did not confirm the lease in time: nothing is sent until it does, and nothing is lost"
            );
        }
        LeaseNotice::Regained => info!("the lease is confirmed again"),
        LeaseNotice::Ended(Why::Fenced) => {
            warn!("another clock leads, or has led meanwhile; this one follows")
        }
        LeaseNotice::Ended(Why::WentBack) => warn!(
            "the database has lost its newest writes, which need not last (it crashed); this clock begins anew, and writes them again"
        ),
        LeaseNotice::Ended(Why::Unproven) => warn!(
            "the broker confirms nothing of this clock, and something of another one, which may lead now"
        ),
        LeaseNotice::Ended(Why::Skewed) => warn!(
            "the time of this clock was set, and differs from the database's by too much; another one may lead now"
        ),
        LeaseNotice::Ended(Why::Wanted) => info!("another clock is wanted to lead; this one follows"),
        LeaseNotice::Ended(Why::Stopped) => info!("the lease is given back"),
        LeaseNotice::Skewed { ahead } => {
            let what = format!(
                "this clock would lead now, but its time is ahead of the database's by {ahead} ms; set the time of one of them"
            );
            warn!("{what}");
            seen.hindered = Some(what);
        }
        LeaseNotice::Newer { schema } => {
            let what = format!(
                "the tables have form {schema}, of a newer version of khronos; this one does not lead there: run that version"
            );
            error!("{what}");
            seen.hindered = Some(what);
        }
    }
}
