-- title: Hostless transients, LSST
-- owner: examples
-- survey: lsst
-- output: hostless
--
-- A lasting source in the difference image without flux at its place in the template: the science image holds no more
-- than the difference does. Superluminous supernovae prefer hosts too faint to see: Lunnan et al. 2014,
-- doi:10.1088/0004-637X/787/2/138.
SELECT object_id, alert_id, mjd_tai, ra, dec, band, psf_flux, diaSource.scienceFlux, age_days() AS age
FROM alerts
WHERE snr() > 8
  AND reliability > 0.6
  AND detections() >= 3
  AND duration_days() > 1
  AND diaSource.scienceFlux < 1.2 * psf_flux
  AND abs(galactic_latitude()) > 15
