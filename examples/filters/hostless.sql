-- title: Hostless transients, ZTF
-- owner: examples
-- survey: ztf
-- output: hostless
--
-- A lasting, variable source with nothing in Pan-STARRS within 5 arcsec and nothing in ZTF's reference within 5 pixels
-- (1 arcsec each): a galaxy too faint to see, or a star thrown far from its own. Superluminous supernovae prefer such
-- dwarf hosts: Lunnan et al. 2014, doi:10.1088/0004-637X/787/2/138. ZTF writes -999 where no neighbour lies within 30
-- arcsec, and that counts as hostless too; `distnr` is in pixels, the others in arcsec.
SELECT objectId, candid, mjd_tai, ra, dec, band, mag(psf_flux) AS m, candidate.distpsnr1, candidate.distnr, age_days() AS age
FROM alerts
WHERE psf_flux > 0
  AND reliability > 0.6
  AND detections() >= 3
  AND duration_days() > 1
  AND NOT candidate.distpsnr1 BETWEEN 0 AND 5
  AND NOT candidate.distnr BETWEEN 0 AND 5
  AND abs(galactic_latitude()) > 15
  AND NOT candidate.ssdistnr BETWEEN 0 AND 12
