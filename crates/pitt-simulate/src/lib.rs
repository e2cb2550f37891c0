//! Made-up ZTF and LSST alert packets that look like a sky, with the truth beside them.
//!
//! Supernovae rise and fall, variable stars keep their periods, active galaxies wander, asteroids move, a few kilonovae
//! fade within days, and the rest is bogus. Packets have the surveys' field names, types and sizes, histories that grow
//! from night to night, forced photometry, upper limits, and images. The same configuration gives the same bytes.
//!
//! This floor is about making packets, not about reading them: it knows no Arrow and no archive. It is no physics
//! either: light curves are simple shapes of the right time scales, orbits are straight lines.
//!
//! ```
//! use pitt_simulate::{SimSurvey, SimulationConfig, Simulator};
//!
//! let config = SimulationConfig { alerts_per_visit: 5, surveys: vec![SimSurvey::Lsst], ..Default::default() };
//! let mut simulator = Simulator::new(config);
//! let visit = simulator.next_visit().expect("a first visit");
//! assert_eq!(visit.packets.len(), 5);
//! assert_eq!(visit.packets[0].bytes[..5], [0, 0, 0, 0x04, 0x4c]); // Confluent, schema id 1100
//! ```

mod alert;
mod avro;
mod brightness;
mod config;
mod dia_object;
mod fault;
mod fits;
mod folder;
mod light;
mod lsst;
mod measure;
mod random;
mod scene;
mod schedule;
mod schema;
mod simulator;
mod sky;
mod solar;
mod truth;
mod ztf;

pub use config::{SimSurvey, SimulationConfig};
pub use fault::Fault;
pub use folder::{SimulateError, Written, write_folder};
pub use schema::{
    LSST_SCHEMA_ID, LSST_SCHEMA_VERSION, ZTF_SCHEMA_VERSION, lsst_schema, ztf_schema,
};
pub use simulator::{SimPacket, Simulator, Visit};
pub use truth::Truth;
