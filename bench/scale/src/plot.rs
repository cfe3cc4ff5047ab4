//! Picture of loads and saves at each number of sessions.

use std::path::Path;

use anyhow::Result;
use plots::{Bars, Group, Whole};

use crate::growth::Growth;
use crate::table::{KEPT, grouped};

const SIZE: (u32, u32) = (1200, 360);

/// Draws `growth.svg` and `growth.png`: a group of bars per store, with a bar for each number of sessions.
pub fn growth(all: &[Growth], folder: &Path) -> Result<()> {
    let mut sizes: Vec<u64> = all.iter().map(|it| it.sessions).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut stores: Vec<_> = all.iter().map(|it| it.store).collect();
    stores.dedup();
    let chart = |what: &str, speed: fn(&Growth) -> f64| {
        let groups = stores.iter().map(|store| {
            let at = |size: &u64| all.iter().find(|it| it.store == *store && it.sessions == *size).map(speed);
            Group { name: store.to_string(), speeds: sizes.iter().map(at).collect() }
        });
        Bars {
            title: format!("{what} per second by 32 tasks (height: part of that at the smallest size)"),
            series: sizes.iter().map(|size| format!("{} sessions", grouped(*size as f64))).collect(),
            groups: groups.collect(),
            whole: Whole::First,
            line: Some(KEPT),
        }
    };
    let charts = [chart("loads", |it| it.load.per_second), chart("loads with saves", |it| it.load_save.per_second)];
    plots::draw(&charts, &folder.join("growth"), SIZE)
}
