-- title: Solar System bodies, LSST
-- owner: examples
-- survey: lsst
-- output: asteroids
--
-- Alerts that Rubin attributes to a Solar System body rather than to a fixed object. The association is the survey's:
-- `ssObjectId` of the detection, null or 0 where there is none (Rubin data products definition document, LSE-163).
SELECT object_id, alert_id, diaSource.trailLength, mjd_tai, ra, dec, band, psf_flux
FROM alerts
WHERE diaSource.ssObjectId IS NOT NULL
  AND diaSource.ssObjectId <> 0
  AND reliability > 0.5
