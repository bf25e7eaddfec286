//! Cost against size, drawn: three panels with logarithmic axes, readable on light and on dark ground.

use std::fmt::Write as _;
use std::fs;

use crate::growth::{Axis, Point, Work};
use crate::json::path;

/// The distance that the panels show where it was measured.
const USUAL: u64 = 50;

const PANEL: (f64, f64) = (250.0, 210.0);
/// Left of and above the first panel, and between panels.
const MARGIN: (f64, f64, f64) = (52.0, 34.0, 66.0);

/// One colour a program, told apart also by who cannot tell red from green (Okabe and Ito), and readable on both grounds.
const COLOURS: [&str; 6] = ["#d55e00", "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9"];

const STYLE: &str = "text{font:11px sans-serif;fill:#24292f}.title{font-weight:bold}.grid{stroke:#d0d7de;stroke-width:.6}\
    .line{fill:none;stroke-width:1.8}@media(prefers-color-scheme:dark){text{fill:#d0d7de}.grid{stroke:#444c56}}";

/// A panel: what is drawn against what.
struct Panel<'a> {
    title: String,
    below: &'static str,
    /// For each program the sizes and values.
    lines: Vec<(&'a str, Vec<(f64, f64)>)>,
}

/// Writes `target/bench/NAME.svg`.
pub(crate) fn write(name: &str, points: &[Point]) {
    let path = path(&format!("{name}.svg"));
    fs::write(&path, draw(points)).unwrap();
    eprintln!(">> {}", path.display());
}

fn draw(points: &[Point]) -> String {
    let mut programs: Vec<&str> = Vec::new();
    for point in points {
        if !programs.contains(&point.program.as_str()) {
            programs.push(&point.program);
        }
    }
    let far = points.iter().map(|point| point.milliseconds).min_by_key(|far| far.abs_diff(USUAL)).unwrap_or(USUAL);
    let lines = |axis: Axis, work: Work, far: u64, of: fn(&Point) -> f64| {
        let is_meant = move |point: &&Point| point.axis == axis && point.work == work && point.milliseconds == far;
        let line = |program: &&'_ str| {
            let own = points.iter().filter(is_meant).filter(|point| point.program == *program);
            own.map(|point| (f64::from(point.size), of(point))).collect::<Vec<_>>()
        };
        programs.iter().map(|program| (*program, line(program))).collect::<Vec<_>>()
    };
    let panels = [
        Panel {
            title: format!("seconds, nothing changed, {far} ms"),
            below: "messages in one mailbox",
            lines: lines(Axis::Messages, Work::NothingChanged, far, |point| point.seconds),
        },
        Panel {
            title: "turns, nothing changed".to_owned(),
            below: "mailboxes",
            lines: lines(Axis::Mailboxes, Work::NothingChanged, far, |point| point.turns),
        },
        Panel {
            title: "peak memory in MiB, first copy".to_owned(),
            below: "messages in one mailbox",
            lines: lines(Axis::Messages, Work::FirstCopy, 0, |point| point.peak_mib),
        },
    ];
    let (left, top, between) = MARGIN;
    let width = left + PANEL.0 * 3.0 + between * 2.0 + 20.0;
    let height = top + PANEL.1 + 66.0 + 18.0 * (programs.len().saturating_sub(1) / 3) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Cost against size\"><style>{STYLE}</style>\n"
    );
    for (at, panel) in panels.iter().enumerate() {
        let _ = writeln!(svg, "<g transform=\"translate({} {top})\">", left + at as f64 * (PANEL.0 + between));
        panel.draw(&mut svg);
        svg.push_str("</g>\n");
    }
    for (at, program) in programs.iter().enumerate() {
        // Three in a row, one below each panel.
        let (column, row) = ((at % 3) as f64, (at / 3) as f64);
        let (x, y) = (left + column * (PANEL.0 + between), top + PANEL.1 + 58.0 + 18.0 * row);
        let colour = COLOURS[at % COLOURS.len()];
        let _ = writeln!(svg, "<path d=\"M{x:.0} {:.0}h16\" class=\"line\" stroke=\"{colour}\"/>", y - 4.0);
        let _ = writeln!(svg, "<text x=\"{:.0}\" y=\"{y:.0}\">{}</text>", x + 20.0, escaped(program));
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel<'_> {
    fn draw(&self, svg: &mut String) {
        let (width, height) = PANEL;
        let _ = writeln!(svg, "<text class=\"title\" x=\"0\" y=\"-12\">{}</text>", escaped(&self.title));
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            width / 2.0,
            height + 32.0,
            self.below
        );
        let all = || self.lines.iter().flat_map(|(_, line)| line.iter());
        let (Some(across), Some(up)) =
            (Scale::over(all().map(|at| at.0), width), Scale::over(all().map(|at| at.1), height))
        else {
            return;
        };
        for (value, x) in across.marks() {
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} 0v{height}\"/>");
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>", height + 15.0);
        }
        for (value, y) in up.marks() {
            let y = height - y;
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M0 {y:.1}h{width}\"/>");
            let _ = writeln!(svg, "<text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>", y + 4.0);
        }
        for (at, (_, line)) in self.lines.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let places: Vec<_> = line.iter().map(|(x, y)| (across.place(*x), height - up.place(*y))).collect();
            let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            if !path.is_empty() {
                let _ = writeln!(svg, "<path class=\"line\" stroke=\"{colour}\" d=\"M{}\"/>", path.join("L"));
            }
            for (x, y) in places {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{colour}\"/>");
            }
        }
    }
}

/// A logarithmic axis from one power of ten to another.
struct Scale {
    first: i32,
    last: i32,
    length: f64,
}

impl Scale {
    /// One that holds all these values; none for none.
    fn over(values: impl Iterator<Item = f64>, length: f64) -> Option<Scale> {
        let logarithms: Vec<f64> = values.map(|value| value.max(0.001).log10()).collect();
        let first = logarithms.iter().copied().reduce(f64::min)?.floor() as i32;
        let last = logarithms.iter().copied().reduce(f64::max)?.ceil() as i32;
        Some(Scale { first, last: last.max(first + 1), length })
    }

    fn place(&self, value: f64) -> f64 {
        (value.max(0.001).log10() - f64::from(self.first)) / f64::from(self.last - self.first) * self.length
    }

    /// The powers of ten, as they are written, and where they are.
    fn marks(&self) -> impl Iterator<Item = (String, f64)> {
        (self.first..=self.last).map(|power| {
            let value = 10_f64.powi(power);
            let text = match power {
                6.. => format!("{}M", 10_f64.powi(power - 6)),
                3.. => format!("{}k", 10_f64.powi(power - 3)),
                0.. => format!("{value}"),
                _ => format!("{value:.*}", power.unsigned_abs() as usize),
            };
            (text, self.place(value))
        })
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
