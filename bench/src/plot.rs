//! Bar charts per store and size, as SVG and PNG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::register_font;
use targets::Kind;

use crate::results::{Cell, Results};

const SIZE: (u32, u32) = (900, 420);
const COLOURS: [RGBColor; 3] = [RGBColor(0x1b, 0x6c, 0xa8), RGBColor(0xe0, 0x8e, 0x2b), RGBColor(0x8a, 0x8a, 0x8a)];

/// Draws a chart for every store and size, in both formats.
pub(crate) fn plots(results: &Results, folder: &Path) -> Result<()> {
    register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| anyhow!("the font for plots cannot be read"))?;
    let mut drawn: Vec<(Kind, usize)> = results.cells.iter().map(|cell| (cell.kind, cell.size)).collect();
    drawn.dedup();
    for (kind, size) in drawn {
        let cells: Vec<&Cell> = results.cells.iter().filter(|cell| (cell.kind, cell.size) == (kind, size)).collect();
        let path = folder.join(format!("{kind}-{size}"));
        draw(&SVGBackend::new(&path.with_extension("svg"), SIZE).into_drawing_area(), kind, size, &cells)?;
        draw(&BitMapBackend::new(&path.with_extension("png"), SIZE).into_drawing_area(), kind, size, &cells)?;
    }
    Ok(())
}

/// Draws one group of bars per work and number of tasks. The height of a bar is its speed relative to the group's fastest.
///
/// Absolute speeds are written above the bars, because they differ by a factor of a thousand between groups.
fn draw<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    kind: Kind,
    size: usize,
    cells: &[&Cell],
) -> Result<()>
where
    B::ErrorType: 'static,
{
    let wrong = |error: DrawingAreaErrorKind<B::ErrorType>| anyhow!("a plot cannot be drawn: {error}");
    area.fill(&WHITE).map_err(wrong)?;
    let mut groups: Vec<(work::Work, u64)> = cells.iter().map(|cell| (cell.work, cell.tasks)).collect();
    groups.dedup();
    let mut who: Vec<&str> = Vec::new();
    for cell in cells {
        if !who.contains(&cell.who()) {
            who.push(cell.who());
        }
    }
    let width = who.len() + 1;
    let mut chart = ChartBuilder::on(area)
        .caption(
            format!("{kind}, {size} bytes: operations per second (height: part of the fastest)"),
            ("sans-serif", 18),
        )
        .margin(10)
        .x_label_area_size(34)
        // Room above the highest bars for their figures and the legend.
        .build_cartesian_2d(0..(groups.len() * width) as i32, 0.0..1.4)
        .map_err(wrong)?;
    for (at, who) in who.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let bars = groups.iter().enumerate().filter_map(|(group, &(work, tasks))| {
            let same = |cell: &&&Cell| (cell.work, cell.tasks) == (work, tasks);
            let fastest = cells.iter().filter(same).filter_map(|cell| cell.speed()).fold(0.0, f64::max);
            let speed = cells.iter().filter(same).find(|cell| cell.who() == *who)?.speed()?;
            Some(((group * width + at) as i32, speed, speed / fastest))
        });
        let bars: Vec<(i32, f64, f64)> = bars.collect();
        let rectangles =
            bars.iter().map(|&(x, _, height)| Rectangle::new([(x, 0.0), (x + 1, height)], colour.filled()));
        let series = chart.draw_series(rectangles).map_err(wrong)?;
        series.label(*who).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
        let labels =
            bars.iter().map(|&(x, speed, height)| Text::new(short(speed), (x, height + 0.04), ("sans-serif", 11)));
        chart.draw_series(labels).map_err(wrong)?;
    }
    let names = groups.iter().enumerate().map(|(group, (work, tasks))| {
        Text::new(format!("{} {tasks}", work.name()), ((group * width) as i32, -0.03), ("sans-serif", 11))
    });
    chart.draw_series(names).map_err(wrong)?;
    let mut legend = chart.configure_series_labels();
    legend.background_style(WHITE.mix(0.8)).border_style(BLACK).position(SeriesLabelPosition::UpperRight);
    legend.draw().map_err(wrong)?;
    area.present().map_err(wrong)
}

fn short(speed: f64) -> String {
    match speed {
        1e6.. => format!("{:.1}M", speed / 1e6),
        1e4.. => format!("{:.0}k", speed / 1e3),
        1e3.. => format!("{:.1}k", speed / 1e3),
        _ => format!("{speed:.0}"),
    }
}
