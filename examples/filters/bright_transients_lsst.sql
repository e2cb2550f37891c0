-- title: Bright transients, LSST
-- owner: examples
-- survey: lsst
-- output: bright_transients
--
-- Sources brighter than 19.5 mag in the difference image, away from the Galactic plane and in no Solar System body's
-- place. One magnitude below the Bright Transient Survey's 18.5 (Fremling et al. 2020, doi:10.3847/1538-4357/ab8943),
-- in reach of a 4-metre spectrograph; Rubin saturates near 17 to 18 mag.
SELECT object_id, alert_id, mjd_tai, ra, dec, band, mag(psf_flux) AS m, reliability, age_days() AS age
FROM alerts
WHERE mag(psf_flux) < 19.5
  AND reliability > 0.5
  AND detections() >= 2
  AND abs(galactic_latitude()) > 7
  AND (diaSource.ssObjectId IS NULL OR diaSource.ssObjectId = 0)
