// Asks the JDK's and Bouncy Castle's path validation about every case of a folder, and prints a line for each: validator, case, verdict, reason.
// Run by main.rs as a single source file, with Bouncy Castle's archives on the class path.

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Provider;
import java.security.Security;
import java.security.cert.CertPathValidator;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Date;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

public class Validate {
    public static void main(String[] arguments) throws Exception {
        // Which algorithms are strong enough is not what is compared.
        Security.setProperty("jdk.certpath.disabledAlgorithms", "");
        Provider bouncy = (Provider) Class.forName("org.bouncycastle.jce.provider.BouncyCastleProvider")
            .getDeclaredConstructor().newInstance();
        Security.addProvider(bouncy);
        List<Path> cases = new ArrayList<>();
        try (var entries = Files.newDirectoryStream(Path.of(arguments[0]))) {
            entries.forEach(cases::add);
        }
        Collections.sort(cases);
        for (Path folder : cases) {
            tell("jdk", folder, "SUN");
            tell("bouncy-castle", folder, "BC");
        }
    }

    private static void tell(String validator, Path folder, String provider) {
        String verdict = "accepts", reason = "";
        try {
            validate(folder, provider);
        } catch (Exception | StackOverflowError e) {
            verdict = "refuses";
            reason = String.valueOf(e).replaceAll("\\s+", " ");
        }
        System.out.println(String.join("\t", validator, folder.getFileName().toString(), verdict, reason));
    }

    private static void validate(Path folder, String provider) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509", provider);
        List<X509Certificate> path = new ArrayList<>();
        path.add(certificate(factory, folder.resolve("leaf.der")));
        for (int number = numbered(folder, "ca") - 1; number >= 0; number--) {
            path.add(certificate(factory, folder.resolve("ca" + number + ".der")));
        }
        List<Object> others = new ArrayList<>(path);
        for (int number = 0; number < numbered(folder, "crl"); number++) {
            others.add(factory.generateCRL(new ByteArrayInputStream(Files.readAllBytes(folder.resolve("crl" + number + ".der")))));
        }
        X509Certificate root = certificate(factory, folder.resolve("root.der"));
        others.add(root);

        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(others)));
        parameters.setRevocationEnabled(true);
        Set<String> policies = new TreeSet<>();
        for (String line : Files.readAllLines(folder.resolve("settings"))) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "moment" -> parameters.setDate(new Date(Long.parseLong(words[1]) * 1000));
                case "explicit-policy" -> parameters.setExplicitPolicyRequired(true);
                case "inhibit-any" -> parameters.setAnyPolicyInhibited(true);
                case "inhibit-mapping" -> parameters.setPolicyMappingInhibited(true);
                case "policy" -> policies.add(words[1]);
                case "purpose" -> { }
                default -> throw new IOException("unknown setting " + line);
            }
        }
        if (!policies.isEmpty()) {
            parameters.setInitialPolicies(policies);
        }
        CertPathValidator validator = CertPathValidator.getInstance("PKIX", provider);
        if (provider.equals("SUN")) {
            PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
            checker.setOptions(EnumSet.of(PKIXRevocationChecker.Option.PREFER_CRLS, PKIXRevocationChecker.Option.NO_FALLBACK));
            parameters.addCertPathChecker(checker);
        }
        validator.validate(factory.generateCertPath(path), parameters);
    }

    private static int numbered(Path folder, String name) {
        int number = 0;
        while (Files.exists(folder.resolve(name + number + ".der"))) {
            number++;
        }
        return number;
    }

    private static X509Certificate certificate(CertificateFactory factory, Path file) throws Exception {
        return (X509Certificate) factory.generateCertificate(new ByteArrayInputStream(Files.readAllBytes(file)));
    }
}
