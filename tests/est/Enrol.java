// Enrols over EST with Bouncy Castle's client: fetches the CA certificates and the CSR attributes, and then a certificate.
//
// java Enrol.java HOST:PORT ROOT.pem REQUEST.pem LABEL|- CLIENT.p12|- USER PASSWORD

import java.io.FileInputStream;
import java.io.FileReader;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.Base64;
import java.util.Set;
import javax.net.ssl.KeyManagerFactory;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.est.CACertsResponse;
import org.bouncycastle.est.CSRRequestResponse;
import org.bouncycastle.est.ESTService;
import org.bouncycastle.est.EnrollmentResponse;
import org.bouncycastle.est.jcajce.JcaHttpAuthBuilder;
import org.bouncycastle.est.jcajce.JcaJceUtils;
import org.bouncycastle.est.jcajce.JsseESTServiceBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.util.Store;

public class Enrol {
    public static void main(String[] args) throws Exception {
        java.security.Security.addProvider(new BouncyCastleProvider());
        X509Certificate root;
        try (FileInputStream in = new FileInputStream(args[1])) {
            root = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
        }
        var trust = JcaJceUtils.getCertPathTrustManager(Set.of(new TrustAnchor(root, null)), null);
        JsseESTServiceBuilder builder = new JsseESTServiceBuilder(args[0], trust);
        if (!args[3].equals("-")) {
            builder.withLabel(args[3]);
        }
        if (!args[4].equals("-")) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            try (FileInputStream in = new FileInputStream(args[4])) {
                store.load(in, "x".toCharArray());
            }
            KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
            keys.init(store, "x".toCharArray());
            builder.withKeyManagers(keys.getKeyManagers());
        }
        ESTService est = builder.build();
        CACertsResponse cas = est.getCACerts();
        for (X509CertificateHolder ca : cas.getCertificateStore().getMatches(null)) {
            System.out.println("ca: " + ca.getSubject());
        }
        CSRRequestResponse attributes = est.getCSRAttributes();
        System.out.println("attributes: " + (attributes.hasAttributesResponse() ? attributes.getAttributesResponse().getRequirements().size() : 0));
        PKCS10CertificationRequest request;
        try (PEMParser in = new PEMParser(new FileReader(args[2]))) {
            request = (PKCS10CertificationRequest) in.readObject();
        }
        var auth = args.length > 5 ? new JcaHttpAuthBuilder(args[5], args[6].toCharArray()).build() : null;
        EnrollmentResponse response = est.simpleEnroll(!args[4].equals("-"), request, auth);
        if (!response.isCompleted()) {
            System.out.println("waits until: " + response.getNotBefore());
            return;
        }
        Store<X509CertificateHolder> store = response.getStore();
        for (X509CertificateHolder issued : store.getMatches(null)) {
            System.out.println("issued: " + Base64.getEncoder().encodeToString(issued.getEncoded()));
        }
    }
}
