//! Bar charts of speeds, as SVG and PNG.
//!
//! The bars of a group are a part of one of them, because speeds differ by a factor of a thousand between groups. The speeds
//! themselves are written above the bars.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

const COLOURS: [RGBColor; 3] = [RGBColor(0x1b, 0x6c, 0xa8), RGBColor(0xe0, 0x8e, 0x2b), RGBColor(0x8a, 0x8a, 0x8a)];
const FONT: &str = "sans-serif";

/// Which bar of a group has the height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    Fastest,
    First,
}

/// A chart: groups of bars, with one bar for each series.
pub struct Bars {
    pub title: String,
    pub series: Vec<String>,
    pub groups: Vec<Group>,
    pub whole: Whole,
    /// Height of a line across the chart.
    pub line: Option<f64>,
}

/// A group of bars.
pub struct Group {
    pub name: String,
    /// Speeds in operations per second, in the order of the series.
    pub speeds: Vec<Option<f64>>,
}

/// Draws charts below each other, of this width and height in pixels each, to a file `path` of each format.
///
/// # Errors
/// If the font cannot be read, or a file cannot be written.
pub fn draw(charts: &[Bars], path: &Path, (width, height): (u32, u32)) -> Result<()> {
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| anyhow!("the font for plots cannot be read"))?;
    let size = (width, height * u32::try_from(charts.len())?);
    draw_on(&SVGBackend::new(&path.with_extension("svg"), size).into_drawing_area(), charts)?;
    draw_on(&BitMapBackend::new(&path.with_extension("png"), size).into_drawing_area(), charts)
}

fn wrong<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("a plot cannot be drawn: {error}")
}

fn draw_on<B: DrawingBackend>(area: &DrawingArea<B, Shift>, charts: &[Bars]) -> Result<()>
where
    B::ErrorType: 'static,
{
    area.fill(&WHITE).map_err(wrong)?;
    for (part, bars) in area.split_evenly((charts.len(), 1)).iter().zip(charts) {
        bars.draw(part)?;
    }
    area.present().map_err(wrong)
}

impl Bars {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        let width = self.series.len() + 1;
        let end = (self.groups.len() * width) as i32;
        let highest = self.heights().flatten().fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 18))
            .margin(10)
            .x_label_area_size(34)
            // Room above the highest bars for their figures and the legend.
            .build_cartesian_2d(0..end, 0.0..highest * 1.4)
            .map_err(wrong)?;
        for (at, series) in self.series.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let bars = self.groups.iter().enumerate().filter_map(|(group, it)| {
                let speed = (*it.speeds.get(at)?)?;
                Some(((group * width + at) as i32, speed, self.height(it, speed)?))
            });
            let bars: Vec<(i32, f64, f64)> = bars.collect();
            let rectangles =
                bars.iter().map(|&(x, _, height)| Rectangle::new([(x, 0.0), (x + 1, height)], colour.filled()));
            let drawn = chart.draw_series(rectangles).map_err(wrong)?;
            drawn.label(series).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
            let labels = bars.iter().map(|&(x, speed, height)| Text::new(short(speed), (x, height + 0.04), (FONT, 11)));
            chart.draw_series(labels).map_err(wrong)?;
        }
        if let Some(line) = self.line {
            chart.draw_series(LineSeries::new([(0, line), (end, line)], &BLACK)).map_err(wrong)?;
        }
        let names = self.groups.iter().enumerate();
        let names = names.map(|(at, group)| Text::new(group.name.clone(), ((at * width) as i32, -0.03), (FONT, 11)));
        chart.draw_series(names).map_err(wrong)?;
        let mut legend = chart.configure_series_labels();
        legend.background_style(WHITE.mix(0.8)).border_style(BLACK).position(SeriesLabelPosition::UpperRight);
        legend.draw().map_err(wrong)
    }

    fn height(&self, group: &Group, speed: f64) -> Option<f64> {
        let mut speeds = group.speeds.iter().copied().flatten();
        let whole = match self.whole {
            Whole::First => speeds.next()?,
            Whole::Fastest => speeds.fold(0.0, f64::max),
        };
        Some(speed / whole)
    }

    fn heights(&self) -> impl Iterator<Item = Option<f64>> {
        let all = self.groups.iter().flat_map(|group| group.speeds.iter().flatten().map(move |speed| (group, *speed)));
        all.map(|(group, speed)| self.height(group, speed))
    }
}

fn short(speed: f64) -> String {
    match speed {
        1e6.. => format!("{:.1}M", speed / 1e6),
        1e4.. => format!("{:.0}k", speed / 1e3),
        1e3.. => format!("{:.1}k", speed / 1e3),
        _ => format!("{speed:.0}"),
    }
}
