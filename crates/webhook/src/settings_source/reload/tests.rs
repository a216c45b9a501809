use std::ffi::OsString;
use std::io::ErrorKind;

use super::*;
use crate::args::Command;

struct Running {
    state: State,
    published: ArcSwap<Configuration>,
    metrics: Metrics,
}

impl Running {
    fn new(flags: &[&str], contents: &[&str]) -> Self {
        let Command::Serve(args) =
            Command::parse(["webhook"].iter().chain(flags).map(OsString::from)).unwrap();
        let source = SettingsSource::new(&args, None);
        let contents = bytes(contents);
        let configuration = source.read(&contents).unwrap().configuration;
        let started_with = Bound::of(configuration.settings());
        let state = State { source, started_with, fingerprints: fingerprints(&contents) };
        Self { state, published: ArcSwap::from_pointee(configuration), metrics: Metrics::default() }
    }

    fn take(&mut self, contents: &[Content]) {
        self.state.take(contents, &self.published, &self.metrics);
    }

    fn audience(&self) -> String {
        self.published.load().settings().token_audience.to_owned()
    }

    /// Problems and reloads of both files.
    fn counts(&self) -> [(i64, u64); 2] {
        [CONFIG_FILE, IDENTITIES_FILE].map(|label| {
            (
                self.metrics.configuration_problems.get_or_create(&label.into()).get(),
                self.metrics.reloads.get_or_create(&label.into()).get(),
            )
        })
    }
}

fn bytes(contents: &[&str]) -> Vec<Content> {
    contents.iter().map(|text| Ok(text.as_bytes().to_vec())).collect()
}

const FLAGS: &[&str] = &["--config=c", "--watch-container-credentials-config=i"];

#[test]
fn what_is_good_is_published_and_what_is_not_is_counted() {
    let mut running = Running::new(FLAGS, &["tokenAudience: one", ""]);
    running.take(&bytes(&["tokenAudience: two", ""]));
    assert_eq!((running.audience().as_str(), running.counts()), ("two", [(0, 1), (0, 0)]));
    running.take(&bytes(&["tokenAudience: 'a b'\nmode: x", ""]));
    assert_eq!((running.audience().as_str(), running.counts()), ("two", [(2, 1), (0, 0)]));
    running.take(&bytes(&["tokenAudience: three", "["]));
    assert_eq!((running.audience().as_str(), running.counts()), ("two", [(0, 1), (1, 0)]));
    running.take(&[Err(ErrorKind::NotFound), Err(ErrorKind::PermissionDenied)]);
    assert_eq!((running.audience().as_str(), running.counts()), ("two", [(1, 1), (1, 0)]));
    running.take(&[Ok(b"tokenAudience: four".to_vec()), Err(ErrorKind::NotFound)]);
    assert_eq!((running.audience().as_str(), running.counts()), ("four", [(0, 2), (0, 1)]));
}

#[test]
fn what_watches_depend_on_stays_until_the_next_start() {
    let config = "annotationPrefix: a.example\nmappingConfigMap: {namespace: ops}\n";
    let mut running = Running::new(&["--config=c"], &[config]);
    let started_with = Bound::of(running.published.load().settings());
    running
        .take(&bytes(&["annotationPrefix: b.example\ntokenAudience: two\nserviceAccountAnnotations: false"]));
    assert_eq!(Bound::of(running.published.load().settings()), started_with);
    assert_eq!((running.audience().as_str(), running.counts()[0]), ("two", (0, 1)));

    let Loaded { warnings, .. } = running.state.read(&bytes(&["annotationPrefix: b.example"])).unwrap();
    assert_eq!(
        warnings,
        ["a change of `annotationPrefix`, `mappingConfigMap` takes effect at the next start"]
    );
    let Loaded { warnings, .. } = running.state.read(&bytes(&[config])).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
}

#[tokio::test]
async fn files_are_followed() {
    let directory = std::env::temp_dir().join(format!("settings-reload-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("config.yaml");
    std::fs::write(&file, "tokenAudience: one").unwrap();
    let flag = format!("--config={}", file.display());
    let Command::Serve(args) = Command::parse(["webhook", &flag].map(OsString::from)).unwrap();
    let (loaded, reload) = SettingsSource::new(&args, None).load().unwrap();
    let published = Arc::new(ArcSwap::from_pointee(loaded.configuration));
    let task = reload.run(Arc::clone(&published), Metrics::default());
    let changed = async {
        std::fs::write(&file, "tokenAudience: two").unwrap();
        while published.load().settings().token_audience != "two" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        ended = task => panic!("{ended:?}"),
        () = changed => {}
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
