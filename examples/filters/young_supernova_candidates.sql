-- title: Young supernova candidates
-- owner: examples
-- survey: ztf
-- output: young_supernovae
--
-- A source that was not there less than 2.5 days before its first detection, first seen within the last 5 days, and
-- brightening. Spectra this early show the gas around the star before the ejecta sweep it up (flash ionisation):
-- Bruch et al. 2021, doi:10.3847/1538-4357/abef05, who take supernovae with a non-detection within 2.5 days.
SELECT objectId, candid, mjd_tai, ra, dec, band, mag(psf_flux) AS m,
       age_days() AS age, nondetection_gap_days() AS gap, rise_rate('g') AS rise_g, rise_rate('r') AS rise_r
FROM alerts
WHERE psf_flux > 0
  AND reliability > 0.6
  AND detections() >= 2
  AND age_days() BETWEEN 0.02 AND 5
  AND nondetection_gap_days() < 2.5
  AND (rise_rate('g') > 0.05 OR rise_rate('r') > 0.05)
  AND abs(galactic_latitude()) > 10
  AND NOT (candidate.sgscore1 > 0.76 AND candidate.distpsnr1 BETWEEN 0 AND 2)
  AND NOT candidate.ssdistnr BETWEEN 0 AND 12
