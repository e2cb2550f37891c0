//! Where else an object can be looked up.

use pitt_sky::coords::Icrs;
use serde::Serialize;
use utoipa::ToSchema;

/// A place elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Link {
    /// Its name.
    pub name: &'static str,
    /// Its address.
    pub url: String,
}

/// Archives by position, and brokers by name.
pub fn links(survey: &str, object_id: &str, at: Option<Icrs>) -> Vec<Link> {
    let mut links = vec![];
    if let Some(Icrs {
        ra_deg: ra,
        dec_deg: dec,
    }) = at
    {
        let mut add = |name, url| links.push(Link { name, url });
        add(
            "SIMBAD",
            format!(
                "https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={ra}d{dec:+}d&CooFrame=ICRS&Radius=10&Radius.unit=arcsec"
            ),
        );
        add(
            "NED",
            format!(
                "https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search&ra={ra}d&dec={dec}d&radius=0.2&in_csys=Equatorial&in_equinox=J2000"
            ),
        );
        add(
            "VizieR",
            format!("https://vizier.cds.unistra.fr/viz-bin/VizieR-4?-c={ra}{dec:+}&-c.rs=10"),
        );
        add(
            "Legacy Survey",
            format!(
                "https://www.legacysurvey.org/viewer?ra={ra}&dec={dec}&zoom=16&layer=ls-dr10&mark={ra},{dec}"
            ),
        );
        add(
            "PanSTARRS",
            format!("https://ps1images.stsci.edu/cgi-bin/ps1cutouts?pos={ra}{dec:+}&filter=color"),
        );
    }
    // Names are letters and digits; anything else is no name that another broker knows.
    if object_id
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric())
    {
        let known: &[(&'static str, &str)] = match survey {
            "ztf" => &[
                ("Lasair", "https://lasair-ztf.lsst.ac.uk/objects/"),
                ("Fink", "https://ztf.fink-portal.org/"),
                ("ALeRCE", "https://alerce.online/object/"),
            ],
            "lsst" => &[
                ("Lasair", "https://lasair.lsst.ac.uk/objects/"),
                ("Fink", "https://lsst.fink-portal.org/"),
            ],
            _ => &[],
        };
        links.extend(known.iter().map(|(name, base)| Link {
            name,
            url: format!("{base}{object_id}"),
        }));
    }
    links
}
