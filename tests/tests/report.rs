//! `report.html`: what stands on it, and how it does in a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use roxmltree::{Document, Node, ParsingOptions};
use secant_tests::program::command;
use tempfile::TempDir;

/// A comparison with tuning in the folder `c`, in a folder whose name is hard on markup.
fn report(folder: &TempDir) -> PathBuf {
    let words = "compare --data synthetic --limit 300 --epochs 1 --evaluations 5 --seeds 5 --tune 3 \
                 --targets 0.3,0.999 --optimizers adam,lbfgs,adam:rate-factor=2";
    let output = command(
        env!("CARGO_BIN_EXE_secant-under-test"),
        folder,
        words.split_whitespace(),
    )
    .args([
        "--model",
        "conv4k5s3 relu linear10",
        "--out",
        "a<b>&'\"\u{1}",
    ])
    .output()
    .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    folder.path().join("a<b>&'\"\u{1}").join("report.html")
}

const FIGURES: [&str; 7] = [
    "accuracy-epochs",
    "accuracy-seconds",
    "loss-epochs",
    "loss-seconds",
    "differences",
    "rate",
    "trials",
];

fn named<'a, 'b>(root: Node<'a, 'b>, name: &'static str) -> impl Iterator<Item = Node<'a, 'b>> {
    root.descendants()
        .filter(move |node| node.tag_name().name() == name)
}

fn words(node: Node<'_, '_>) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|node| node.text())
        .collect()
}

#[test]
fn it_holds_verdict_tables_figures_settings_and_command() {
    let folder = TempDir::new().unwrap();
    let text = fs::read_to_string(report(&folder)).unwrap();
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&text, options).expect("well-formed");
    let root = document.root_element();

    let by_id = |id: &str| {
        root.descendants()
            .find(|node| node.attribute("id") == Some(id))
    };
    for figure in FIGURES {
        let figure = by_id(figure).expect(figure);
        assert_eq!(
            named(figure, "svg")
                .filter(|svg| svg.attribute("role").is_some())
                .count(),
            2
        );
        let rows = named(figure, "tr").count();
        let series = named(figure, "g").filter(|g| {
            g.attribute("class")
                .is_some_and(|c| c.starts_with("series"))
        });
        assert!(rows > series.count() / 2, "values");
    }
    // In words, before anything else.
    let verdict = words(by_id("verdict").unwrap());
    assert!(
        verdict.contains("lbfgs") && verdict.contains("95 % interval"),
        "{verdict}"
    );
    let place = |what: &str| text.find(what).expect(what);
    assert!(place("id=\"verdict\"") < place("<table"));
    // What tuning took is there, with its settings.
    let settings = words(by_id("settings").unwrap());
    assert_eq!(settings.matches("(taken)").count(), 3, "{settings}");
    assert!(settings.contains("learning-rate"));
    let command = words(by_id("again").unwrap());
    assert!(
        command.contains("--model 'conv4k5s3 relu linear10' --out $'a<b>&\\'\"\\001'"),
        "{command}"
    );
    assert!(words(root).contains("No run reached 99.9 %"));

    // Nothing is fetched.
    for node in root.descendants() {
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            let fetches = ["src", "href", "srcset", "data", "action"].contains(&name);
            assert!(!fetches || value.starts_with("data:"), "{name}={value}");
        }
    }
    let style: String = named(root, "style").map(words).collect();
    assert!(!style.contains("url(") && !style.contains("@import"));
    assert!(style.contains("prefers-color-scheme: dark") && style.contains("@media print"));
}

/// A browser, if there is one.
fn browser() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.into_iter().find(|name| {
        let found = Command::new(name).arg("--version").output();
        found.is_ok_and(|output| output.status.success())
    })
}

/// Appended to a copy of the page: points at the first marker of every figure that is shown, and
/// leaves what it saw where the test finds it.
const PROBE: &str = r#"<script>
window.addEventListener("load", function () {
  var seen = [], wide = document.documentElement.scrollWidth, view = document.documentElement.clientWidth;
  document.querySelectorAll("figure").forEach(function (figure) {
    var shown = Array.from(figure.querySelectorAll("svg.chart")).filter(function (svg) {
      return svg.getBoundingClientRect().width > 0;
    });
    var box = shown[0].getBoundingClientRect(), mark = shown[0].querySelector(".points .m");
    var at = mark.getBoundingClientRect();
    var where = { clientX: at.left + at.width / 2, clientY: at.top + at.height / 2, bubbles: true };
    shown[0].dispatchEvent(new PointerEvent("pointermove", where));
    var tip = document.getElementById("tip");
    var scale = box.width / shown[0].viewBox.baseVal.width;
    seen.push([figure.id, shown.length, box.left >= 0 ? 1 : 0, view >= box.right ? 1 : 0,
      (12 * scale).toFixed(2), tip.hidden ? "" : tip.textContent].join("|"));
    shown[0].dispatchEvent(new PointerEvent("pointerleave"));
    if (!tip.hidden) { seen.push("the hint stays"); }
  });
  var probe = document.createElement("pre");
  probe.id = "probe";
  probe.textContent = [view + " " + wide, getComputedStyle(document.body).backgroundColor].concat(seen).join("\n");
  document.body.appendChild(probe);
});
</script></body>"#;

/// The page in a browser: what the probe saw, line by line.
fn look(browser: &str, page: &Path, frame: &TempDir, width: u32, dark: bool) -> Vec<String> {
    // A window may not be as narrow as a telephone, but a frame in it may.
    let text = fs::read_to_string(page).unwrap().replace("</body>", PROBE);
    fs::write(frame.path().join("page.html"), text).unwrap();
    let outer = format!(
        "<body><iframe src='page.html' style='border:0;width:{width}px;height:900px'></iframe>\
         <script>window.onload = function () {{ document.title = 'ready'; \
         var seen = document.querySelector('iframe').contentDocument.getElementById('probe'); \
         var copy = document.createElement('pre'); copy.id = 'seen'; \
         copy.textContent = seen.textContent; document.body.appendChild(copy); }};</script></body>"
    );
    let outside = frame.path().join("outside.html");
    fs::write(&outside, outer).unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
        ])
        .args([
            "--allow-file-access-from-files",
            "--window-size=1400,1000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            frame.path().join("profile").display()
        ))
        .arg(format!(
            "--blink-settings=preferredColorScheme={}",
            u8::from(!dark)
        ))
        .arg(format!("file://{}", outside.display()))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("CONSOLE"), "{log}");
    let dom = String::from_utf8(output.stdout).unwrap();
    let (_, seen) = dom
        .split_once("<pre id=\"seen\">")
        .unwrap_or_else(|| panic!("{dom}\n{log}"));
    let (seen, _) = seen.split_once("</pre>").unwrap();
    seen.lines().map(str::to_owned).collect()
}

#[test]
fn a_browser_shows_every_figure_and_its_values() {
    let Some(browser) = browser() else {
        eprintln!(
            "SKIPPED: no Chromium here, so report.html was not looked at: apt-get install chromium"
        );
        return;
    };
    let folder = TempDir::new().unwrap();
    let page = report(&folder);
    let frame = TempDir::new().unwrap();
    let mut papers = Vec::new();
    for (width, dark) in [(390, false), (1280, true), (1280, false), (768, false)] {
        let seen = look(browser, &page, &frame, width, dark);
        assert_eq!(seen[0], format!("{width} {width}"), "nothing sticks out");
        papers.push(seen[1].clone());
        let figures: Vec<Vec<&str>> = seen[2..]
            .iter()
            .map(|line| line.split('|').collect())
            .collect();
        let names: Vec<&str> = figures.iter().map(|figure| figure[0]).collect();
        assert_eq!(names, FIGURES);
        for figure in figures {
            assert_eq!(figure[1..4], ["1", "1", "1"], "{figure:?}: once, inside");
            let text: f64 = figure[4].parse().unwrap();
            assert!(text >= 11.0, "{figure:?}: text of {text} pixels at {width}");
            assert!(
                figure[5].starts_with("adam: ") && figure[5].contains(" at "),
                "{figure:?}"
            );
        }
    }
    assert_ne!(papers[1], papers[2], "dark is dark");
    assert_eq!(papers[0], papers[2]);
}

#[test]
fn the_command_on_the_page_of_a_run_makes_the_same_run() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let program = env!("CARGO_BIN_EXE_secant-under-test");
    let out = "a run's\u{1b}[31m \u{202e}$HOME\nend";
    let asked = ["train", "--data", "synthetic", "--limit", "300", "--epochs"];
    let asked = asked
        .into_iter()
        .chain(["1", "--model", "pool4 linear10", "--average", "0.5"]);
    let output = command(program, at, asked.chain(["--out", out])).output();
    assert!(output.unwrap().status.success());
    let output = command(program, at, ["report", out]).output();
    assert!(output.unwrap().status.success());
    let read = |name: &str| fs::read(at.join(out).join(name)).unwrap();
    let text = String::from_utf8(read("report.html")).unwrap();
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&text, options).expect("well-formed");
    let again = document
        .root_element()
        .descendants()
        .find(|node| node.attribute("id") == Some("again"))
        .unwrap();
    let line = words_of_command(again);
    assert!(line.contains("--model 'pool4 linear10' --average 0.5"));
    // What a reader copies: a shell makes the same run of it.
    let (weights, average) = (read("weights.bin"), read("average.safetensors"));
    let script = format!("secant() {{ '{program}' \"$@\"; }}\n{line} --force");
    let output = command("bash", at, ["-c", &script]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    assert!(read("weights.bin") == weights && read("average.safetensors") == average);
    let config: serde_json::Value = serde_json::from_slice(&read("config.json")).unwrap();
    assert_eq!(config["command"], format!("{line} --force"));
    // Its versions.
    let facts = words(again);
    let result: serde_json::Value = serde_json::from_slice(&read("result.json")).unwrap();
    for fact in [
        format!("secant {}", env!("CARGO_PKG_VERSION")),
        result["build"].as_str().unwrap().to_owned(),
        result["machine"]["cpu"].as_str().unwrap().to_owned(),
    ] {
        assert!(facts.contains(&fact), "{fact}");
    }
}

/// The text of the first block of code.
fn words_of_command(section: Node<'_, '_>) -> String {
    words(named(section, "code").next().unwrap())
}

/// A short run with its page, in a folder whose name is hard on markup.
fn run_page(folder: &TempDir) -> PathBuf {
    for words in [
        "train --data synthetic --limit 600 --epochs 2 --model micro --out",
        "report",
    ] {
        let program = env!("CARGO_BIN_EXE_secant-under-test");
        let output = command(program, folder, words.split_whitespace())
            .arg("r<u>n&'\"\u{1}")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}: {error}");
    }
    folder.path().join("r<u>n&'\"\u{1}").join("report.html")
}

#[test]
fn the_page_of_a_run_holds_curves_classes_mistakes_and_kernels() {
    let folder = TempDir::new().unwrap();
    let page = run_page(&folder);
    let text = fs::read_to_string(&page).unwrap();
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&text, options).expect("well-formed");
    let root = document.root_element();
    let by_id = |id: &str| {
        let found = root
            .descendants()
            .find(|node| node.attribute("id") == Some(id));
        found.unwrap_or_else(|| panic!("no {id}"))
    };
    for figure in ["loss", "judged"] {
        let charts = named(by_id(figure), "svg").filter(|svg| svg.attribute("role").is_some());
        assert_eq!(charts.count(), 2, "{figure}");
    }
    // The matrix counts every test sample, and its diagonal is the accuracy that stands above.
    let rows: Vec<Vec<usize>> = named(by_id("confusion"), "tr")
        .skip(1)
        .map(|row| {
            named(row, "td")
                .map(|cell| words(cell).parse().unwrap())
                .collect()
        })
        .collect();
    assert_eq!((rows.len(), rows[0].len()), (10, 10));
    let all: usize = rows.iter().flatten().sum();
    let right: usize = (0..10).map(|class| rows[class][class]).sum();
    let lead = named(root, "p").find(|p| p.attribute("class") == Some("lead"));
    let lead = words(lead.unwrap());
    let share = format!("{:.2} %", 100.0 * right as f64 / all as f64);
    assert!(
        lead.contains(&format!("Of {all} test")) && lead.contains(&share),
        "{lead}"
    );
    let pictures = named(by_id("mistakes"), "img").count();
    assert_eq!(pictures, 24.min(all - right));
    assert!(named(by_id("filters"), "img").next().is_some());
    let settings = words(by_id("again"));
    assert!(settings.contains("conv8k3 relu pool2") && settings.contains("\"seed\": 0"));
    // Nothing is fetched.
    for node in root.descendants() {
        for name in ["src", "href"] {
            let value = node.attribute(name).unwrap_or("data:");
            assert!(value.starts_with("data:"), "{value}");
        }
    }
    let Some(browser) = browser() else {
        eprintln!("SKIPPED: no Chromium here: apt-get install chromium");
        return;
    };
    let frame = TempDir::new().unwrap();
    for (width, dark) in [(390, false), (1280, true)] {
        let seen = look(browser, &page, &frame, width, dark);
        assert_eq!(seen[0], format!("{width} {width}"), "nothing sticks out");
        assert_eq!(seen.len(), 4, "{seen:?}");
        for figure in &seen[2..] {
            let figure: Vec<&str> = figure.split('|').collect();
            assert_eq!(figure[1..4], ["1", "1", "1"], "{figure:?}: once, inside");
            assert!(figure[5].contains(" at "), "{figure:?}: a value is told");
        }
    }
}
