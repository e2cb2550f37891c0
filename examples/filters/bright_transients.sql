-- title: Bright transients, ZTF
-- owner: examples
-- survey: ztf
-- output: bright_transients
--
-- New point sources brighter than 18.5 mag, away from the Galactic plane, from stars and from known asteroids: what a
-- small spectrograph can classify completely. The limit of 18.5 mag and the cut of 7 degrees in latitude are those of
-- the Bright Transient Survey: Fremling et al. 2020, doi:10.3847/1538-4357/ab8943; Perley et al. 2020,
-- doi:10.3847/1538-4357/abbd98. A nearest Pan-STARRS source within 2 arcsec that looks like a star (sgscore1) marks a
-- variable star: Tachibana & Miller 2018, doi:10.1088/1538-3873/aae3d9. ZTF writes -999 where there is no neighbour.
SELECT objectId, candid, mjd_tai, ra, dec, band, mag(psf_flux) AS m, reliability, age_days() AS age
FROM alerts
WHERE psf_flux > 0
  AND candidate.magpsf < 18.5
  AND reliability > 0.5
  AND abs(galactic_latitude()) > 7
  AND detections() >= 2
  AND NOT (candidate.sgscore1 > 0.76 AND candidate.distpsnr1 BETWEEN 0 AND 2)
  AND NOT candidate.ssdistnr BETWEEN 0 AND 12
