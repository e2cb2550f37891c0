//! A run as others see it: its HTTP port, and what `pitt status` reads.

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Result;
use pitt_kafka::consume::{Healths, SourceHealth, Trouble};

use crate::broker::Broker;
use crate::config::{Config, OutputSettings};
use crate::filters::FilterDesk;
use crate::http::api::Api;
use crate::http::live::{Beating, Live};
use crate::http::registry::{Catalogue, Surveys, Topics};
use crate::http::{Port, Site};
use crate::pipeline::Counters;
use crate::publish::{Form, Routes};
use crate::push::{Delivery, Patience};
use crate::telemetry::{InputStatus, PartitionStatus, Reporter, Telemetry, TroubleStatus};

/// What shows a run to others, from its first pass to its end.
pub(super) struct Watched {
    telemetry: Arc<Telemetry>,
    port: Option<Port>,
    reporter: Option<Reporter>,
    live: Arc<Live>,
    beating: Option<Beating>,
    delivery: Option<Delivery>,
}

impl Watched {
    /// Counts from zero, opens the port that the settings name, and begins to write how the run is.
    pub(super) fn begin(config: &Config, broker: &Broker) -> Result<Self> {
        let names = broker.filter_names();
        let counters = Arc::new(Counters::new(names.iter().map(String::as_str)));
        let telemetry = Arc::new(Telemetry::new(
            broker.archive(),
            broker.filters(),
            &counters,
        ));
        if config.settings.output.is_on() {
            telemetry.watch_output(&config.settings.output.servers);
        }
        let archive = telemetry.clone();
        let stored = move || {
            archive
                .open_archive()
                .map_or_else(Vec::new, |open| open.schemas())
        };
        let api = Api::new(telemetry.clone(), &config.settings)?;
        let (live, hooks) = (api.live.clone(), api.hooks.clone());
        let site = Site {
            telemetry: telemetry.clone(),
            api,
            schemas: Arc::new(Catalogue::new(stored, broker.schemas().clone(), {
                let (output, telemetry) = (config.settings.output.clone(), telemetry.clone());
                move || avro_topics(&output, &telemetry.filter_desk())
            })),
        };
        let chosen = !config.is_default("http.listen");
        let port = Port::open(&config.settings.http, chosen, site)?;
        if let Some(port) = &port {
            telemetry.set_url(port.url());
            let wanted = config.settings.http.address();
            if wanted.is_some_and(|wanted| wanted.port() != 0 && wanted != port.address()) {
                tracing::warn!(
                    "{} is in use: metrics and status are at {} (`http.listen` chooses)",
                    config.settings.http.listen,
                    port.url()
                );
            }
            invite(port);
        }
        let beating = match &port {
            Some(_) => Some(Beating::start(&live, &telemetry)?),
            None => None,
        };
        let delivery = match &beating {
            Some(_) => Some(Delivery::start(&hooks, &live.feed, Patience::default())?),
            None => None,
        };
        Ok(Self {
            live,
            beating,
            delivery,
            reporter: Some(Reporter::start(telemetry.clone())?),
            telemetry,
            port,
        })
    }

    /// What the pipeline counts, through all passes.
    pub(super) fn counters(&self) -> &Arc<Counters> {
        self.telemetry.counters()
    }

    /// Lets a broker tell of its matches, if anybody can ask for them.
    pub(super) fn listen(&self, broker: &mut Broker) -> Result<()> {
        match &self.beating {
            Some(_) => self.live.join(broker),
            None => Ok(()),
        }
    }

    /// What is shown.
    pub(super) fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// Address of the pages, with this run's token where this machine alone can reach them.
    pub(super) fn pages(&self) -> Option<String> {
        let port = self.port.as_ref()?;
        Some(port.session_url().unwrap_or_else(|| port.url()))
    }

    /// Shows an input of files or of made-up alerts.
    pub(super) fn watch_input(&self, name: &str, kind: &str) {
        let input = InputStatus {
            name: name.to_owned(),
            kind: kind.to_owned(),
            state: "reading".to_owned(),
            ..InputStatus::default()
        };
        self.telemetry.watch_inputs(move || vec![input.clone()]);
    }

    /// Shows streams.
    pub(super) fn watch_streams(&self, healths: Healths) {
        let inputs = move || healths.now().into_iter().map(input_of).collect();
        self.telemetry.watch_inputs(inputs);
    }

    /// Notes how the run ended, and shows that last.
    pub(super) fn settle<T>(mut self, outcome: Result<T>) -> Result<T> {
        let error = outcome.as_ref().err().map(super::told);
        self.telemetry.ended(error);
        self.close();
        outcome
    }

    fn close(&mut self) {
        // Readers end before the port does.
        self.delivery = None;
        self.beating = None;
        self.port = None;
        self.reporter = None;
        self.telemetry.let_go();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.reporter.is_some() {
            self.telemetry.ended(Some("the run broke off".to_owned()));
            self.close();
        }
    }
}

/// Shows whoever sits at the terminal the way in, with this run's token. Not into a log, which others may read.
pub(super) fn invite(port: &Port) {
    let url = port.session_url();
    if let Some(url) = url.filter(|_| std::io::stderr().is_terminal()) {
        eprintln!("Pages, and filters of your own:  {url}");
    }
}

/// Topics that Avro is published to with the surveys' own schemas, and whose alerts turn up there.
fn avro_topics(output: &OutputSettings, filters: &FilterDesk) -> Topics {
    let mut topics = Topics::new();
    if !output.is_on() {
        return topics;
    }
    let (routes, roster) = (Routes::new(output), filters.at_work().now());
    for filter in roster.set().filters() {
        // What has no topic is said where it would be published.
        let Ok(Some(route)) = routes.route(filter) else {
            continue;
        };
        if route.form == Form::Json {
            continue;
        }
        let more = match &filter.header().survey {
            Some(survey) => Surveys::These(vec![survey.clone()]),
            None => Surveys::All,
        };
        let topic = route.topic.to_string();
        let all = match topics.remove(&topic) {
            Some(known) => Surveys::with(known, more),
            None => more,
        };
        topics.insert(topic, all);
    }
    if output.relay == "raw" {
        for survey in ["ztf", "lsst"] {
            let topic = format!("{}alerts-{survey}", output.prefix);
            topics.insert(topic, Surveys::These(vec![survey.to_owned()]));
        }
    }
    topics
}

fn input_of(health: SourceHealth) -> InputStatus {
    let partition = |partition: pitt_kafka::consume::PartitionHealth| PartitionStatus {
        lag: partition.lag(),
        topic: partition.topic,
        partition: partition.partition,
        next: partition.next,
    };
    InputStatus {
        name: health.name,
        kind: "kafka".to_owned(),
        state: health.state.as_str().to_owned(),
        since_us: health.since_us,
        troubles: health.troubles.into_iter().map(trouble_of).collect(),
        last_error: health.last_error.map(trouble_of),
        messages: Some(health.messages),
        expired: health.expired,
        partitions: health.partitions.into_iter().map(partition).collect(),
    }
}

fn trouble_of(trouble: Trouble) -> TroubleStatus {
    TroubleStatus {
        text: trouble.text,
        since_us: trouble.since_us,
    }
}
