//! A line chart with logarithmic axes, as SVG.

use std::fmt::Write as _;

use crate::report::{growth::Line, unit::thousands};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 380.0;
/// Of the area inside of the axes.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 680.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 325.0;

/// Distinguishable without colour vision as well (<https://jfly.uni-koeln.de/color/>).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

pub(crate) struct Chart<'c> {
    pub(crate) title: &'c str,
    pub(crate) x: &'c str,
    pub(crate) y: &'c str,
    pub(crate) lines: &'c [Line<'c>],
}

/// Powers of ten from one to another, in a range of pixels.
struct Axis {
    first: i32,
    last: i32,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut first, mut last) = (i32::MAX, i32::MIN);
        for value in values.filter(|value| *value > 0.0) {
            #[allow(clippy::cast_possible_truncation, reason = "a logarithm of a double is below 400")]
            let (below, above) = (value.log10().floor() as i32, value.log10().ceil() as i32);
            (first, last) = (first.min(below), last.max(above));
        }
        if first > last {
            (first, last) = (0, 1);
        }
        Self { first, last: last.max(first + 1), from, to }
    }

    /// What is not positive is at the start.
    fn position(&self, value: f64) -> f64 {
        let whole = f64::from(self.last - self.first);
        let part = (value.max(f64::MIN_POSITIVE).log10() - f64::from(self.first)) / whole;
        self.from + (self.to - self.from) * part.max(0.0)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        (self.first..=self.last).map(|power| 10.0_f64.powi(power))
    }
}

impl Chart<'_> {
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| *points);
        let x_axis = Axis::new(points().map(|point| point.0), LEFT, RIGHT);
        let y_axis = Axis::new(points().map(|point| point.1), BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        let middle = f64::midpoint(LEFT, RIGHT);
        text(&mut svg, LEFT, 22.0, "start", "font-weight=\"bold\"", self.title);
        text(&mut svg, middle, HEIGHT - 12.0, "middle", "", self.x);
        text(
            &mut svg,
            LEFT,
            TOP - 10.0,
            "end",
            "fill=\"#555\"",
            self.y.rsplit(", ").next().unwrap_or_default(),
        );
        for tick in x_axis.ticks() {
            let x = x_axis.position(tick);
            grid(&mut svg, [x, TOP, x, BOTTOM]);
            text(&mut svg, x, BOTTOM + 18.0, "middle", "fill=\"#555\"", &number(tick));
        }
        for tick in y_axis.ticks() {
            let y = y_axis.position(tick);
            grid(&mut svg, [LEFT, y, RIGHT, y]);
            text(&mut svg, LEFT - 8.0, y + 4.0, "end", "fill=\"#555\"", &number(tick));
        }
        let mut legend = LEFT + 20.0;
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let places: Vec<(f64, f64)> =
                points.iter().map(|(x, y)| (x_axis.position(*x), y_axis.position(*y))).collect();
            let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
                path.join(" ")
            );
            for (x, y) in places {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>");
            }
            let _ = writeln!(svg, "<circle cx=\"{legend:.1}\" cy=\"42\" r=\"5\" fill=\"{colour}\"/>");
            text(&mut svg, legend + 10.0, 46.0, "start", "", name);
            // There is no font to measure with: a letter is some 7 wide.
            legend += 35.0 + 7.0 * f64::from(u32::try_from(name.chars().count()).unwrap_or(0));
        }
        svg + "</svg>\n"
    }
}

fn grid(svg: &mut String, [x1, y1, x2, y2]: [f64; 4]) {
    let _ = writeln!(svg, "<path d=\"M{x1:.1},{y1:.1}L{x2:.1},{y2:.1}\" stroke=\"#ddd\"/>");
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, style: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let style = if style.is_empty() { String::new() } else { format!(" {style}") };
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{style}>{text}</text>");
}

fn number(value: f64) -> String {
    if value < 1.0 { format!("{value}") } else { thousands(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_span_powers_of_ten() {
        let axis = Axis::new([20.0, 3000.0].into_iter(), 0.0, 300.0);
        assert_eq!(axis.ticks().collect::<Vec<_>>(), [10.0, 100.0, 1000.0, 10_000.0]);
        let positions = [10.0, 100.0, 10_000.0, 0.0].map(|value| axis.position(value).round());
        assert_eq!(positions, [0.0, 100.0, 300.0, 0.0]);
        // One value, or none, has an axis, too.
        assert_eq!(Axis::new([10.0].into_iter(), 0.0, 1.0).ticks().collect::<Vec<_>>(), [10.0, 100.0]);
        assert_eq!(Axis::new([0.0].into_iter(), 0.0, 1.0).ticks().collect::<Vec<_>>(), [1.0, 10.0]);
    }

    #[test]
    fn points_are_where_they_belong() {
        let lines = [("a < b", [(1.0, 10.0), (10.0, 1.0)].as_slice())];
        let svg = Chart { title: "t", x: "x", y: "y, s", lines: &lines }.svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(svg.contains("<polyline points=\"80.0,70.0 680.0,325.0\""), "{svg}");
        assert!(svg.contains(">a &lt; b</text>"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
    }
}
